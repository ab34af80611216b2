package redis

import (
	"context"
	"embed"

	"github.com/redis/rueidis"
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
	put, del, hold, sweep     *rueidis.Lua
	list, gather, prune, note *rueidis.Lua // of the index
}

func newScripts() *scripts {
	return &scripts{
		put:    script("stock", "put"),
		del:    script("delete"),
		hold:   script("stock", "hold"),
		sweep:  script("sweep"),
		list:   script("others", "list"),
		gather: script("others", "gather"),
		prune:  script("prune"),
		note:   script("others", "note"),
	}
}

// script joins files that are part of the binary, so that none can be missing.
func script(names ...string) *rueidis.Lua {
	text := ""
	for _, name := range names {
		part, _ := scriptFiles.ReadFile("scripts/" + name + ".lua")
		text += string(part)
	}
	return rueidis.NewLuaScript(text)
}

// indexKeys are the KEYS of the index's scripts.
func indexKeys() []string { return []string{indexKey, noteKey, holdsKey} }

// run runs a script; see try.
func (l *link) run(ctx context.Context, script *rueidis.Lua, keys, args []string) (reply rueidis.RedisMessage, unsure bool, err error) {
	unsure, err = l.try(ctx, func() (err error) {
		reply, err = script.Exec(ctx, l.client, keys, args).ToMessage()
		return err
	})
	return reply, unsure, err
}
