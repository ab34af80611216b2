package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hangar/nameko"
	"hangar/rpc"
)

const shellHelp = `Lines:
  products.get the_odyssey                      call a method, with arguments
  products.get product_id=the_odyssey           the same, by the argument's name
  orders.create_order [{"product_id": "the_odyssey", "price": "100.99", "quantity": 1}]
  dispatch orders order_created {"order": {"id": 1, "order_details": []}}
                                                publish an event, as that service
  services                                      the methods that hangar's services have
  help products                                 those of one, with their parameters
  exit
What is not quoted is a string, unless it is a number, true, false or null. Lines
of nameko's shell are understood, too:
  n.rpc.products.get("the_odyssey")
  n.dispatch_event("orders", "order_created", {'order': {'id': 1, 'order_details': []}})
`

// explain prints what there is to know of a service or a method; of "" that is
// the shell.
func (s *shell) explain(topic string) error {
	if topic == "" {
		_, err := fmt.Fprint(s.out, shellHelp)
		return err
	}
	var found []string
	for service, methods := range rpc.Methods() {
		for name, signature := range methods {
			full := service + "." + name
			if topic == service || topic == full {
				found = append(found, full+parameters(signature))
			}
		}
	}
	if len(found) == 0 {
		return fmt.Errorf("%q is no service or method of hangar's; services shows them", topic)
	}
	slices.Sort(found)
	_, err := fmt.Fprintln(s.out, strings.Join(found, "\n"))
	return err
}

// parameters shows a signature, what is optional in brackets.
func parameters(s nameko.Signature) string {
	var b strings.Builder
	for _, name := range s.Required {
		b.WriteString(" " + name)
	}
	for _, name := range s.Optional {
		b.WriteString(" [" + name + "]")
	}
	return b.String()
}

func (s *shell) listServices() error {
	services := rpc.Methods()
	for _, service := range slices.Sorted(maps.Keys(services)) {
		methods := slices.Sorted(maps.Keys(services[service]))
		if _, err := fmt.Fprintf(s.out, "%-10s%s\n", service, strings.Join(methods, ", ")); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(s.out, "Others are called in the same way: what methods they have, only they know.")
	return err
}

// complete returns what the last word before the cursor may become, and what
// stands before and behind it. The cursor is a number of characters.
func complete(line string, cursor int) (head string, words []string, tail string) {
	characters := []rune(line)
	before, tail := string(characters[:cursor]), string(characters[cursor:])
	start := strings.LastIndexAny(before, " \t") + 1
	head, word := before[:start], before[start:]
	for _, candidate := range candidates(strings.Fields(head), word) {
		if strings.HasPrefix(candidate, word) {
			words = append(words, candidate)
		}
	}
	slices.Sort(words)
	return head, words, tail
}

// candidates returns what may stand after some words.
func candidates(before []string, word string) []string {
	services := rpc.Methods()
	switch {
	case len(before) == 0 && strings.HasPrefix(word, "n"):
		return append(methodNames(services, pythonCall, word, "("), pythonDispatch+"(")
	case len(before) == 0:
		return append(methodNames(services, "", word, " "), "dispatch ", "exit", "help ", "services")
	case before[0] == "help" && len(before) == 1:
		return append(methodNames(services, "", word, ""), slices.Collect(maps.Keys(services))...)
	case before[0] == "dispatch":
		return eventWords(before[1:])
	}
	service, method, _ := splitMethod(before[0])
	signature := services[service][method]
	var names []string
	for _, name := range slices.Concat(signature.Required, signature.Optional) {
		names = append(names, name+"=")
	}
	return names
}

// methodNames returns the names of services, and, of one that the word names, of
// its methods.
func methodNames(services map[string]map[string]nameko.Signature, prefix, word, suffix string) []string {
	var names []string
	for service, methods := range services {
		full := prefix + service + "."
		if !strings.HasPrefix(word, full) {
			names = append(names, full)
			continue
		}
		for method := range methods {
			names = append(names, full+method+suffix)
		}
	}
	return names
}

// eventWords returns what may stand after dispatch and some words.
func eventWords(before []string) []string {
	var words []string
	for _, sub := range rpc.Subscribers() {
		switch {
		case len(before) == 0:
			words = append(words, sub.Source+" ")
		case len(before) == 1 && before[0] == sub.Source:
			words = append(words, sub.Event+" ")
		}
	}
	return words
}
