package console

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"hangar"
	"hangar/gateway"
)

// problem is why something was not done, as the page with its form says it.
type problem struct {
	Title   string
	Message string
	Fields  []complaint
}

// complaint is what is wrong with one field.
type complaint struct {
	Input     string // id of its input element; "" if it has none
	Label     string
	Complaint string
}

// failure is an error that has no form to be shown in.
type failure struct {
	Title   string
	Message string
	Again   bool // it may be gone in a moment
}

func failurePage(err error) page {
	status, e := gateway.ErrorAnswer(err)
	f := failure{Title: "That did not work", Message: e.Message, Again: e.Code == hangar.Unavailable}
	switch e.Code {
	case hangar.ProductNotFound, hangar.OrderNotFound, hangar.NotFound:
		f.Title = "Not found"
	case hangar.Unavailable:
		f.Title = "Not available at the moment"
	case hangar.Unexpected:
		f.Title = "Something went wrong"
	}
	return page{status: status, template: "failure", title: f.Title, data: f, err: err}
}

// sendAgain is what to do with a form that has an idempotency key when nobody
// knows what became of it.
const sendAgain = "Send the form again as it is: it takes effect once, however often it is sent."

// newProblem says that a form was refused. The title says what was not done; fields
// are those that the error may complain of.
func newProblem(title string, err error, fields ...*field) *problem {
	_, e := gateway.ErrorAnswer(err)
	p := &problem{Title: title, Message: e.Message}
	switch e.Code {
	case hangar.ValidationError:
	case hangar.Unavailable: // then it may have been done
		p.Title = "Not available at the moment"
		return p
	default:
		return p
	}
	p.Message = "Correct what is marked, and send it again."
	complaints := complaintsOf(e)
	for _, f := range fields {
		if text, ok := complaints[f.Path]; ok {
			f.Complaint = text
			p.Fields = append(p.Fields, complaint{f.ID, f.Title(), text})
			delete(complaints, f.Path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(complaints)) {
		p.Fields = append(p.Fields, complaint{Label: path, Complaint: complaints[path]})
	}
	return p
}

// complaintsOf flattens the details of a ValidationError: order_details.0.price
// to its sentences. From a service elsewhere they come as JSON, so they are taken
// as that from everywhere.
func complaintsOf(e *hangar.Error) map[string]string {
	flat := map[string]string{}
	var details any
	if decodeDetails(e, &details) == nil {
		flatten(flat, "", details)
	}
	if len(flat) == 0 {
		flat["form"] = e.Message
	}
	return flat
}

func flatten(flat map[string]string, path string, details any) {
	switch details := details.(type) {
	case map[string]any:
		for name, deeper := range details {
			flatten(flat, strings.TrimPrefix(path+"."+name, "."), deeper)
		}
	case []any:
		var sentences []string
		for _, sentence := range details {
			if s, ok := sentence.(string); ok {
				sentences = append(sentences, s)
			}
		}
		flat[path] = strings.Join(sentences, " ")
	}
}

// shortagesOf returns what an OutOfStock error says of each product.
func shortagesOf(err error) map[string]hangar.Shortage {
	var shortages map[string]hangar.Shortage
	if e, ok := errors.AsType[*hangar.Error](err); ok && e.Code == hangar.OutOfStock {
		if decodeDetails(e, &shortages) != nil {
			return nil
		}
	}
	return shortages
}

func decodeDetails(e *hangar.Error, v any) error {
	b, err := json.Marshal(e.Details)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// field is an input of a form, with what was typed.
type field struct {
	ID        string // of its element
	Name      string
	Path      string // by which a ValidationError complains of it
	Label     string
	Group     string // what tells it from fields with the same label
	Hint      string
	Value     string
	Complaint string
	Number    bool
	Required  bool
	Wide      bool
	MaxLength int
}

// Title is the label, and the group where that is needed to know which it is.
func (f field) Title() string {
	if f.Group == "" {
		return f.Label
	}
	return f.Group + ", " + strings.ToLower(f.Label[:1]) + f.Label[1:]
}

// DescribedBy returns the ids of the elements that say more of the field.
func (f field) DescribedBy() string {
	var ids []string
	if f.Complaint != "" {
		ids = append(ids, f.ID+"-complaint")
	}
	if f.Hint != "" {
		ids = append(ids, f.ID+"-hint")
	}
	return strings.Join(ids, " ")
}

// refused makes p the page with a form that was refused.
func (p *page) refused(title string, err error, fields ...*field) {
	p.status, _ = gateway.ErrorAnswer(err)
	p.problem = newProblem(title, err, fields...)
	p.err = err
}
