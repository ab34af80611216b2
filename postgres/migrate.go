package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

const (
	// versions is the table of the migrations that were made. The Python
	// services have their own, alembic_version, which stays theirs.
	versions = "hangar_schema"

	// migrationLock keeps all processes but one from migrating: "hangar" as a
	// number. Who waits for it asks again and again, as an index is not finished
	// while a statement waits that is older.
	migrationLock = 0x68616e676172
)

// migrate brings the tables up to date. What is up to date it only looks at, so
// that a user without further rights can use it.
func migrate(ctx context.Context, conn *pgx.Conn, log *slog.Logger) (err error) {
	scripts, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	names, err := fs.ReadDir(scripts, ".")
	if err != nil {
		return err
	}
	newest, err := goose.NumericComponent(names[len(names)-1].Name())
	if err != nil {
		return err
	}
	version, err := schemaVersion(ctx, conn)
	switch {
	case err != nil:
		return fmt.Errorf("read the schema's version: %w", err)
	case version > newest:
		return fmt.Errorf("the database %q comes from a newer hangar: its schema has version %d, this one knows up to %d; "+
			"use the newer hangar", conn.Config().Database, version, newest)
	case version == newest:
		return nil
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(1, math.MaxInt32))
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*conn.Config())
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, scripts, goose.WithTableName(versions),
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	log.Info("migrating the orders' database", "from", version, "to", newest)
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate from version %d to %d: %w", version, newest, err)
	}
	return nil
}

// schemaVersion is 0 for a database that hangar has not used yet.
func schemaVersion(ctx context.Context, conn *pgx.Conn) (version int64, err error) {
	known := false
	err = conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", versions).Scan(&known)
	if err != nil || !known {
		return 0, err
	}
	err = conn.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+versions).Scan(&version)
	return version, err
}
