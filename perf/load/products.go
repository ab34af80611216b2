package main

import (
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

//go:embed products.csv
var ownProducts string

// product is what a journey creates, under an id of its own.
type product struct {
	ID                string `json:"id"`
	Title             string `json:"title"`
	PassengerCapacity int64  `json:"passenger_capacity"`
	MaximumSpeed      int64  `json:"maximum_speed"`
	InStock           int64  `json:"in_stock"`
}

var productColumns = []string{"id", "title", "passenger_capacity", "maximum_speed", "in_stock"}

// readProducts reads the file, or for "" the products that the load test brings.
func readProducts(file string) ([]product, error) {
	if file == "" {
		return parseProducts(strings.NewReader(ownProducts))
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	products, err := parseProducts(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return products, nil
}

func parseProducts(r io.Reader) ([]product, error) {
	lines := csv.NewReader(r)
	lines.Comma = ';'
	lines.FieldsPerRecord = len(productColumns)
	header, err := lines.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(header) > 0 {
		header[0] = strings.TrimPrefix(header[0], "\ufeff") // the mark that spreadsheets begin UTF-8 with
	}
	if !slices.Equal(header, productColumns) {
		return nil, fmt.Errorf("the first line must be %s", strings.Join(productColumns, ";"))
	}
	var products []product
	for {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		p, err := parseProduct(fields)
		if err != nil {
			line, _ := lines.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		products = append(products, p)
	}
	if len(products) == 0 {
		return nil, errors.New("there is no product in it")
	}
	return products, nil
}

func parseProduct(fields []string) (product, error) {
	p := product{ID: fields[0], Title: fields[1]}
	if p.ID == "" || p.Title == "" || strings.Contains(p.ID, "/") {
		return p, errors.New("id and title must not be empty, and an id has no '/'")
	}
	for i, number := range []*int64{&p.PassengerCapacity, &p.MaximumSpeed, &p.InStock} {
		n, err := strconv.ParseInt(fields[2+i], 10, 32)
		if err != nil || n < 0 {
			return p, fmt.Errorf("%s must be a whole number from 0 on, not %q", productColumns[2+i], fields[2+i])
		}
		*number = n
	}
	if p.InStock == 0 {
		return p, errors.New("in_stock must be at least 1, because one is ordered")
	}
	return p, nil
}
