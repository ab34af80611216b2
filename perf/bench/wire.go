package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// wire is a connection for a load generator that shares its processors with what
// it measures: it sends requests as they are, and of an answer reads just the
// status and the length.
type wire struct {
	conn   net.Conn
	reader *bufio.Reader
}

// dialWire connects, and asks once: a server closes a connection soon on which
// nothing comes at all, and many are made before the first is used.
func dialWire(url string) (*wire, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return nil, err
	}
	w := &wire{conn, bufio.NewReader(conn)}
	if _, err := w.do([]byte("GET /livez HTTP/1.1\r\nHost: hangar\r\n\r\n")); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w, nil
}

// do sends a request and returns the status of its answer.
func (w *wire) do(request []byte) (status int, err error) {
	if err := w.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := w.conn.Write(request); err != nil {
		return 0, err
	}
	line, err := w.reader.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, fmt.Errorf("answered %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, err
	}
	length := 0
	for {
		line, err := w.reader.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) == 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
	_, err = io.CopyN(io.Discard, w.reader, int64(length))
	return status, err
}

// wires are connections, one for each that sends at the same time.
type wires []*wire

func dialWires(url string, n int) (wires, error) {
	var all wires
	for range n {
		w, err := dialWire(url)
		if err != nil {
			all.close()
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

func (w wires) close() {
	for _, wire := range w {
		wire.conn.Close()
	}
}

// postOrder returns a request that orders one unit of a product.
func postOrder(product string) []byte {
	body := fmt.Sprintf(`{"order_details":[{"product_id":%q,"price":"100000.99","quantity":1}]}`, product)
	return fmt.Appendf(nil, "%s /orders HTTP/1.1\r\nHost: hangar\r\nContent-Length: %d\r\n\r\n%s", http.MethodPost, len(body), body)
}
