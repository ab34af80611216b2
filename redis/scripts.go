package redis

import (
	"context"
	"embed"

	"github.com/redis/rueidis"

	"hangar/tracing"
)

const (
	keyPrefix = "products:" // of a product's hash, and of nothing else

	holdsKey = "hangar:holds"
	indexKey = "hangar:index"
	noteKey  = "hangar:index:note"
)

//go:embed scripts
var scriptFiles embed.FS

// scripts are all that writes. The keys of products are not among their KEYS:
// what an order held, only the script knows, and only a cluster would ask.
type scripts struct {
	put, edit, del, hold, restock, sweep script
	list, gather, prune, note            script // of the index
}

func newScripts() *scripts {
	return &scripts{
		put:     newScript("stock", "put"),
		edit:    newScript("stock", "edit"),
		del:     newScript("delete"),
		hold:    newScript("stock", "hold"),
		restock: newScript("stock", "restock"),
		sweep:   newScript("sweep"),
		list:    newScript("others", "list"),
		gather:  newScript("others", "gather"),
		prune:   newScript("prune"),
		note:    newScript("others", "note"),
	}
}

// script is a script with its name.
type script struct {
	*rueidis.Lua
	name string
}

// newScript joins files that are part of the binary, so that none can be missing.
// The last one gives the name.
func newScript(names ...string) script {
	text := ""
	for _, name := range names {
		part, _ := scriptFiles.ReadFile("scripts/" + name + ".lua")
		text += string(part)
	}
	return script{rueidis.NewLuaScript(text), names[len(names)-1]}
}

// indexKeys are the KEYS of the index's scripts.
func indexKeys() []string { return []string{indexKey, noteKey, holdsKey} }

// run runs a script; see try.
func (l *link) run(ctx context.Context, s script, keys, args []string) (reply rueidis.RedisMessage, unsure bool, err error) {
	span := beginSpan(ctx, "EVALSHA", s.name)
	defer func() { tracing.End(span, kindOf(err)) }()
	unsure, err = l.try(ctx, func() (err error) {
		reply, err = s.Exec(ctx, l.client, keys, args).ToMessage()
		return err
	})
	return reply, unsure, err
}
