package console_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"hangar"
	"hangar/hangartest/browser"
)

// until waits for an expression to be true, also over changes of the page.
func until(expression string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		for {
			// What fails here fails because the page changes just now.
			if done, err := chromedp.Evaluate[bool]("Boolean("+expression+")")(ctx, target); err == nil && done {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s does not become true: %w", expression, ctx.Err())
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

// see waits until the page says the text.
func see(text string) chromedp.Action[chromedp.Void] {
	return until(fmt.Sprintf(`document.readyState === "complete" && document.querySelector("#main").innerText.replace(/\s+/g, " ").includes(%q)`, text))
}

// at waits until the page is the one at that path.
func at(path string) chromedp.Action[chromedp.Void] {
	return until(fmt.Sprintf(`document.readyState === "complete" && location.pathname + location.search === %q`, path))
}

// typed puts text into an empty input, or over what it has.
func typed(input, text string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(chromedp.Click(input), chromedp.Evaluate[chromedp.Void](`document.activeElement.select(); undefined`), chromedp.KeyEvent(text))
}

func open(t *testing.T, s *shop, path string) *browser.Page {
	t.Helper()
	p := browser.Open(t, s.url)
	p.Do(chromedp.Navigate(s.url+path), at(path))
	return p
}

// TestFromAProductToItsReturn is a day in the shop.
func TestFromAProductToItsReturn(t *testing.T) {
	s := newShop(t)
	p := browser.Open(t, s.url)
	p.Do(
		chromedp.Navigate(s.url+"/console/"), see("There are no products yet"),
		chromedp.Click(".heading .primary"), at("/console/new-product"),
		typed("#id", "the_odyssey"), typed("#title", "The Odyssey"), typed("#passenger_capacity", "101"),
		typed("#maximum_speed", "5"), typed("#in_stock", "10"),
		chromedp.Click("form .primary"), see("The product was created."), see("10 in stock"),
		at("/console/products/the_odyssey"), // without what the notice was asked for with
	)
	p.Screenshot("created")
	p.Do(
		typed("#quantity", "5"), chromedp.Click("#stock .primary"), see("The stock was added."), see("15 in stock"),
		chromedp.Click(".heading .button"), see("The Odyssey, 15 in stock"),
		typed("#line-0-price", "99.5"), typed("#line-0-quantity", "4"),
		chromedp.Click("form .primary"), see("The order was placed."), see("Order #1"), see("398.00"),
	)
	p.Screenshot("ordered")
	s.wantStock(t, "the_odyssey", 11)
	p.Do(
		chromedp.Click("tbody a"), see("11 in stock"),
		chromedp.Click(`nav a[href="/console/orders"]`), see("confirmed"), chromedp.Click("tbody a"), see("Taken out"),
		chromedp.Click("a.danger"), chromedp.WaitVisible("dialog[open] .danger"),
	)
	p.Screenshot("asked")
	p.Do(
		chromedp.Click("dialog [data-close]"), until(`!document.querySelector("dialog").open`), see("Taken out"),
		chromedp.Click("a.danger"), chromedp.WaitVisible("dialog[open] .danger"),
		chromedp.Click("dialog .danger"), see("The order was cancelled"), see("Given back"),
	)
	p.Screenshot("cancelled")
	s.wantStock(t, "the_odyssey", 15)
	p.Do(
		chromedp.Click("tbody a"), see("15 in stock"),
		chromedp.Click("a.danger"), chromedp.WaitVisible("dialog[open] .danger"),
		chromedp.Click("dialog .danger"), see("The product was deleted."), see("There are no products yet"),
	)
}

// TestErrorsOfScripts is what becomes of a click that a script answers, and for which
// there is no answer that fits in its place.
func TestErrorsOfScripts(t *testing.T) {
	s := newShop(t)
	s.put(t, "the_odyssey", 10)
	p := open(t, s, "/console/products/the_odyssey")
	if err := s.products.DeleteProduct(t.Context(), "the_odyssey"); err != nil {
		t.Fatal(err)
	}
	p.Do(
		typed("#quantity", "5"), chromedp.Click("#stock .primary"), see("Product ID the_odyssey does not exist"), see("10 in stock"),
		chromedp.Evaluate[chromedp.Void](`document.querySelector("#notice").replaceChildren()`), // the next one says the same
		chromedp.Click("a.danger"), see("Not found"), until(`!document.querySelector("dialog").open`),
	)
	wantComplaints(t, p, "404")
	s.close()
	p.Do(chromedp.Click("#stock .primary"), see("The store cannot be reached"), see("10 in stock"))
	p.Screenshot("unreachable")
	p.Complaints() // of the connection that could not be made, in several words
}

// TestWithoutAMouse does it by keys alone.
func TestWithoutAMouse(t *testing.T) {
	s := newShop(t)
	s.put(t, "the_odyssey", 10)
	p := open(t, s, "/console/products")
	p.Do(
		press(kb.Tab), until(`document.activeElement.matches(".skip")`), press(kb.Enter), until(`document.activeElement.id === "main"`),
		tabTo("#prefix"), press("the"), until(`location.search === "?prefix=the"`),
		tabTo("tbody a"), press(kb.Enter), at("/console/products/the_odyssey"),
		tabTo(".heading .button"), press(kb.Enter), see("Title of the_odyssey, 10 in stock"),
		tabTo("#line-0-price"), press("7"), tabTo("[name=add]"), press(kb.Enter), until(`document.activeElement.id === "line-1-product"`),
		press("the_odyssey"), see("Line 2"), tabTo("#line-1-price"), press("8"+kb.Enter), see("The order was placed."),
	)
	s.wantStock(t, "the_odyssey", 8)
	p.Do(
		tabTo("a.danger"), press(kb.Enter), until(`document.querySelector("dialog").open && document.activeElement.matches("[data-close]")`),
		press(kb.Escape), until(`!document.querySelector("dialog").open && document.activeElement.matches("a.danger")`),
		press(kb.Enter), until(`document.activeElement.matches("dialog [data-close]")`),
		tabTo("dialog button"), press(kb.Enter), see("The order was cancelled"),
	)
	s.wantStock(t, "the_odyssey", 10)
	p.Do(chromedp.Navigate(s.url+"/console/new-order"), at("/console/new-order"), tabTo("#line-0-price"), press("x"+kb.Enter),
		until(`document.activeElement.matches(".problem")`), tabTo(`a[href="#line-0-price"]`), press(kb.Enter),
		until(`document.activeElement.id === "line-0-price" && document.activeElement.value === "x"`))
	wantComplaints(t, p, "400")
}

// press presses keys as a keyboard does: what a key does when it goes down, such as
// following a link, is all that it does. Else an Enter that moves the focus into a
// form would also send that.
func press(keys string) chromedp.Action[chromedp.Void] {
	return chromedp.KeyEvent(keys, func(k *input.DispatchKeyEventParams) {
		if k.Type == kb.KeyDown {
			k.Type = kb.KeyRawDown
		}
	})
}

// tabTo presses the tab key until what has the focus matches, and shows it.
func tabTo(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		for range 30 {
			if _, err := chromedp.KeyEvent(kb.Tab)(ctx, target); err != nil {
				return err
			}
			focus, err := chromedp.Evaluate[[]bool](fmt.Sprintf(`((e) => [e.matches(%q), e.matches(":focus-visible")
				&& getComputedStyle(e).outlineStyle !== "none"])(document.activeElement)`, selector))(ctx, target)
			switch {
			case err != nil:
				return err
			case focus[0] && !focus[1]:
				return fmt.Errorf("it cannot be seen that %s has the focus", selector)
			case focus[0]:
				return nil
			}
		}
		return fmt.Errorf("the tab key does not reach %s", selector)
	})
}

func TestSearchFindsWhileOneTypes(t *testing.T) {
	s := newShop(t)
	for _, id := range []string{"airship", "ballon_1", "ballon_2"} {
		s.put(t, id, 1)
	}
	p := open(t, s, "/console/products")
	p.Do(chromedp.Evaluate[chromedp.Void](`window.same = true; undefined`), chromedp.SendKeys("#prefix", "ball"),
		until(`location.search === "?prefix=ball"`), // it also searches for what is typed before, if the keys come slowly
		until(`!document.querySelector("#main").innerText.includes("airship")`), see("ballon_1"), see("ballon_2"))
	if !browser.Run(p, chromedp.Evaluate[bool](`window.same && document.activeElement.id === "prefix"
		&& document.querySelector("#found").textContent === "2 products are shown."`)) {
		t.Error("the page was loaded anew, or its words for those who do not see it did not change")
	}
	wantComplaints(t, p, "")
}

// failingSearch does not find anything as long as it fails.
type failingSearch struct {
	hangar.ProductService
	fails *atomic.Bool
}

func (f failingSearch) ListProducts(ctx context.Context, q hangar.ProductQuery) (hangar.Page[hangar.Product], error) {
	if f.fails.Load() {
		return hangar.Page[hangar.Product]{}, hangar.Errorf(hangar.Unavailable, "No answer came.")
	}
	return f.ProductService.ListProducts(ctx, q)
}

// What went wrong is not said any longer when the next answer came.
func TestErrorGoesWithTheNextAnswer(t *testing.T) {
	s := newShop(t)
	s.put(t, "airship", 3)
	var fails atomic.Bool
	s.products = failingSearch{s.products, &fails}
	s.serve(t)
	p := open(t, s, "/console/products")
	fails.Store(true)
	p.Do(typed("#prefix", "a"), see("Not available at the moment"))
	fails.Store(false)
	p.Do(press("i"), until(`location.search === "?prefix=ai"`))
	if browser.Run(p, chromedp.Evaluate[bool](`Boolean(document.querySelector(".problem"))`)) {
		t.Error("the products that were found stand below an error from before")
	}
	wantComplaints(t, p, "503")
}

func TestOrderFormSaysWhatWasTyped(t *testing.T) {
	s := newShop(t)
	s.put(t, "airship", 3)
	s.put(t, "airship_2", 4)
	p := open(t, s, "/console/new-order")
	p.Do(typed("#line-0-product", "air"), until(`document.querySelectorAll("#suggestions option").length === 2`),
		chromedp.SendKeys("#line-0-product", "ship"), see("Title of airship, 3 in stock"),
		chromedp.Click("[name=add]"), chromedp.WaitVisible("#line-1-product"),
		chromedp.SendKeys("#line-1-product", "nothing"), see("No product’s id begins like this."),
		chromedp.Click("[value='1'][name=remove]"), until(`!document.querySelector("#line-1-product")`),
		typed("#line-0-price", "1"), typed("#line-0-quantity", "4"), chromedp.Click("form .primary"), see("Only 3 in stock."),
		typed("#line-0-quantity", "3"), chromedp.Click("form .primary"), see("The order was placed."))
	wantComplaints(t, p, "409")
	s.wantStock(t, "airship", 0)
}

// TestChangedFormIsWholeAtOnce looks at the form in the moment that it was exchanged:
// a focus that moves later, or a value that is filled in later, comes in the way of
// what is typed meanwhile.
func TestChangedFormIsWholeAtOnce(t *testing.T) {
	s := newShop(t)
	p := open(t, s, "/console/new-order")
	p.Do(typed("#line-0-price", "7"), chromedp.Evaluate[chromedp.Void](`new MutationObserver(() => {
			const focus = document.activeElement, price = document.querySelector("#line-0-price");
			window.found ??= [focus.id || focus.name, price.value, price.getAttribute("value")].join();
		}).observe(document.querySelector("#main"), { childList: true }); undefined`))
	for _, change := range []struct{ button, want string }{
		{"[name=add]", "line-1-product,7,7"},
		{"[value='1'][name=remove]", "add,7,7"},
	} {
		p.Do(chromedp.Evaluate[chromedp.Void](`window.found = undefined`), chromedp.Click(change.button), until(`window.found`))
		if got := browser.Run(p, chromedp.Evaluate[string](`window.found`)); got != change.want {
			t.Errorf("right after %s the focus and the price are %s, want %s", change.button, got, change.want)
		}
	}
}

// heldSuggestions are listed when they are told to, however long that takes.
type heldSuggestions struct {
	hangar.ProductService
	prefix string
	goOn   <-chan struct{}
}

func (h heldSuggestions) ListProducts(ctx context.Context, q hangar.ProductQuery) (hangar.Page[hangar.Product], error) {
	if q.Prefix == h.prefix {
		<-h.goOn
	}
	return h.ProductService.ListProducts(context.WithoutCancel(ctx), q)
}

// TestSuggestionsOfALineThatIsGone has an answer come when another line has its place.
func TestSuggestionsOfALineThatIsGone(t *testing.T) {
	s := newShop(t)
	s.put(t, "airship", 3)
	s.put(t, "ballon", 4)
	release := s.holdUp(t, func(goOn <-chan struct{}) { s.products = heldSuggestions{s.products, "airship", goOn} })
	p := open(t, s, "/console/new-order?product=air")
	p.Do(chromedp.Click("[name=add]"), chromedp.WaitVisible("#line-1-product"),
		typed("#line-1-product", "ballon"), see("Title of ballon, 4 in stock"),
		chromedp.Evaluate[chromedp.Void](`{
			const input = document.querySelector("#line-0-product");
			input.addEventListener("htmx:beforeSend", () => { window.asked = input.value });
			input.addEventListener("htmx:xhr:loadend", () => { window.answered = window.asked });
		}`),
		typed("#line-0-product", "airship"), until(`window.asked === "airship"`),
		chromedp.Click("[value='0'][name=remove]"), until(`!document.querySelector("#line-1-product")`))
	release()
	p.Do(until(`window.answered === "airship"`), see("Title of ballon, 4 in stock"))
	wantComplaints(t, p, "")
}

// heldProducts restock when they are told to, however long that takes.
type heldProducts struct {
	hangar.ProductService
	goOn <-chan struct{}
}

func (h heldProducts) Restock(ctx context.Context, r hangar.Restock) (hangar.Restocked, error) {
	<-h.goOn
	return h.ProductService.Restock(context.WithoutCancel(ctx), r)
}

func TestDoubleClickAddsOnce(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	release := s.holdUp(t, func(goOn <-chan struct{}) { s.products = heldProducts{s.products, goOn} })
	p := open(t, s, "/console/products/a")
	p.Do(typed("#quantity", "5"), chromedp.Click("#stock .primary"), chromedp.DoubleClick("#stock .primary")) // that is the second click alone
	release()
	p.Do(see("15 in stock"))
	s.wantStock(t, "a", 15)
	p.Do(typed("#quantity", "2"), chromedp.Click("#stock .primary"), see("17 in stock"))
	s.wantStock(t, "a", 17)
}

// TestRestockSaysWhyItWasRefused looks at refusals that no field is to blame for.
func TestRestockSaysWhyItWasRefused(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	if _, err := s.products.Restock(t.Context(), hangar.Restock{ID: "a", Quantity: 1, IdempotencyKey: "used"}); err != nil {
		t.Fatal(err)
	}
	p := open(t, s, "/console/products/a")
	p.Do(
		chromedp.Evaluate[chromedp.Void](`document.querySelector("[name=key]").value = "used"; undefined`),
		typed("#quantity", "2"), chromedp.Click("#stock .primary"),
		see("The idempotency key was used with another restock."), until(`document.activeElement.matches(".problem")`),
		chromedp.Click("#stock .primary"), see("13 in stock"), until(`!document.querySelector(".problem")`),
	)
	wantComplaints(t, p, "422")
}

// TestWithoutScripts places an order where no script runs.
func TestWithoutScripts(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	p := browser.Open(t, s.url)
	p.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	loaded := func(condition string) chromedp.Action[chromedp.Void] {
		return until(`document.readyState === "complete" && ` + condition) // before that, what is to be clicked may move
	}
	shown := func(selector string) chromedp.Action[chromedp.Void] {
		return chromedp.Steps(loaded(fmt.Sprintf("document.querySelector(%q)", selector)), chromedp.WaitVisible(selector))
	}
	p.Do(
		chromedp.Navigate(s.url+"/console/products/a"), shown("#quantity"), chromedp.SendKeys("#quantity", "5"), chromedp.Click("#stock .primary"), shown(".notice"),
		chromedp.Click(".heading .button"), shown("#line-0-price"), chromedp.SendKeys("#line-0-price", "2"),
		chromedp.Click("[name=add]"), shown("#line-1-product"), chromedp.Click("[name=remove][value='1']"), loaded(`!document.querySelector("#line-1-product")`),
		chromedp.Click("form .primary"), shown(".badge.confirmed"),
		chromedp.Click("a.danger"), shown("#confirm"), chromedp.Click("#confirm .danger"), shown(".badge.cancelled"),
		chromedp.Click(`nav a[href="/console/live"]`), shown("noscript .notice"),
	)
	s.wantStock(t, "a", 15)
}
