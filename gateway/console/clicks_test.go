package console_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"hangar"
	"hangar/hangartest/browser"
)

// TestQuestionIsAskedOnce clicks again while the question is on its way. A second one
// would ask again after it was answered.
func TestQuestionIsAskedOnce(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	p := open(t, s, "/console/products/a")
	p.Do(chromedp.Evaluate[chromedp.Void](`{
			const link = document.querySelector("a.danger");
			window.asked = 0;
			link.addEventListener("htmx:beforeSend", () => { window.asked++ });
			link.addEventListener("htmx:xhr:loadend", () => { window.answered = true });
			link.click();
			link.click();
		}`), until(`window.answered`), chromedp.WaitVisible("dialog[open] .danger"))
	if asked := browser.Run(p, chromedp.Evaluate[int](`window.asked`)); asked != 1 {
		t.Errorf("after two clicks the question was fetched %d times, want once", asked)
	}
}

func TestQuestionLeavesThePageItsTitle(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	order := s.order(t, "a", 1)
	p := browser.Open(t, s.url)
	for path, title := range map[string]string{"/console/products/a": "Title of a · hangar", fmt.Sprint("/console/orders/", order): fmt.Sprintf("Order #%d · hangar", order)} {
		p.Do(chromedp.Navigate(s.url+path), at(path), chromedp.Click("a.danger"), chromedp.WaitVisible("dialog[open] .danger"),
			press(kb.Escape), until(`!document.querySelector("dialog").open`))
		if got := browser.Run(p, chromedp.Evaluate[string](`document.title`)); got != title {
			t.Errorf("%s has the title %q after the question was put away, want %q", path, got, title)
		}
	}
	wantComplaints(t, p, "")
}

// Who clicks beside the words of a question has not clicked beside the question.
func TestQuestionStaysWhenItIsClicked(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	p := open(t, s, "/console/products/a")
	p.Do(chromedp.Click("a.danger"), chromedp.WaitVisible("dialog[open] .danger"))
	for _, corner := range []string{"[r.left + 8, r.top + 8]", "[r.right - 8, r.bottom - 8]"} {
		at := browser.Run(p, chromedp.Evaluate[[]float64](`((r) => `+corner+`)(document.querySelector("dialog").getBoundingClientRect())`))
		p.Do(chromedp.MouseClickXY(at[0], at[1]))
		if !browser.Run(p, chromedp.Evaluate[bool](`document.querySelector("dialog").open`)) {
			t.Fatalf("a click at %s of the question puts it away", corner)
		}
	}
	p.Do(chromedp.MouseClickXY(5, 400), until(`!document.querySelector("dialog").open`))
	wantComplaints(t, p, "")
}

// A question that was answered is not asked again by the page that one comes back to.
func TestNoQuestionOnTheWayBack(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	order := fmt.Sprint("/console/orders/", s.order(t, "a", 1))
	p := open(t, s, order)
	p.Do(chromedp.Evaluate[chromedp.Void](`window.before = true; undefined`),
		chromedp.Click("a.danger"), chromedp.WaitVisible("dialog[open] .danger"), chromedp.Click("dialog .danger"), see("The order was cancelled"),
		chromedp.Evaluate[chromedp.Void](`history.back()`), until(`!document.querySelector(".notice")`), at(order))
	if browser.Run(p, chromedp.Evaluate[bool](`document.querySelector("dialog").open`)) {
		t.Error("back on the page, its question is asked again")
	}
	wantComplaints(t, p, "")
}

// heldLookups look products up when they are told to, however long that takes.
type heldLookups struct {
	hangar.ProductService
	goOn <-chan struct{}
}

func (h heldLookups) Products(ctx context.Context, ids []string) ([]hangar.Product, error) {
	<-h.goOn
	return h.ProductService.Products(context.WithoutCancel(ctx), ids)
}

// Nothing can be typed into a form that is about to be exchanged, and so get lost.
func TestNothingIsTypedIntoAFormThatGoes(t *testing.T) {
	s := newShop(t)
	s.put(t, "airship", 3)
	release := s.holdUp(t, func(goOn <-chan struct{}) { s.products = heldLookups{s.products, goOn} })
	p := open(t, s, "/console/new-order")
	p.Do(typed("#line-0-product", "airship"), see("Title of airship, 3 in stock"), chromedp.Click("[name=add]"),
		until(`document.querySelector(".htmx-request")`))
	if open := browser.Run(p, chromedp.Evaluate[string](`[...document.querySelectorAll("#order-form :is(input, button):enabled:not([type=hidden])")].map((e) => e.id || e.name || e.textContent).join()`)); open != "" {
		t.Errorf("while a line is being added, these can be used: %s", open)
	}
	release()
	p.Do(until(`document.activeElement.id === "line-1-product"`), see("Title of airship, 3 in stock"),
		typed("#line-0-price", "1"), chromedp.Click("[value='1'][name=remove]"), until(`!document.querySelector("#line-1-product")`),
		chromedp.Click("form .primary"), see("The order was placed."))
	s.wantStock(t, "airship", 2)
	wantComplaints(t, p, "")
}

// clickTwice clicks as who double-clicks everything does: the second click meets what
// the first one brought, for which it waits.
func clickTwice(selector, brought string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		at, err := chromedp.Evaluate[[]float64](fmt.Sprintf(
			`((r) => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector(%q).getBoundingClientRect())`, selector))(ctx, target)
		if err != nil {
			return err
		}
		_, err = chromedp.Steps(
			chromedp.MouseClickXY(at[0], at[1]), until(brought), chromedp.MouseClickXY(at[0], at[1], chromedp.ClickCount(2)),
		)(ctx, target)
		return err
	})
}

func TestDoubleClickRemovesOneLine(t *testing.T) {
	s := newShop(t)
	p := open(t, s, "/console/new-order")
	for _, line := range []string{"#line-1-price", "#line-2-price", "#line-3-price"} {
		p.Do(chromedp.Click("[name=add]"), chromedp.WaitVisible(line), typed(line, line[6:7]))
	}
	p.Do(clickTwice("[name=remove][value='1']", `!document.querySelector("#line-3-price")`),
		chromedp.Click("[name=add]"), until(`document.activeElement.matches("#line-3-product, #line-2-product")`))
	prices := `[...document.querySelectorAll("[name=price]")].map((e) => e.value).join()`
	if got := browser.Run(p, chromedp.Evaluate[string](prices)); got != ",2,3," {
		t.Errorf("the prices after a double click that removes the second line, and with a new one: %s, want ,2,3,", got)
	}
}
