package nameko

import (
	"bytes"
	"compress/bzip2"
	"compress/zlib"
	"fmt"
	"io"
	"mime"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	jsonType = "application/json"
	utf8Name = "utf-8"

	// maxBody bounds a body, compressed or not, in bytes.
	maxBody = 32 << 20
)

// publishing returns a message with the properties that all of Nameko's have.
func publishing(body []byte, headers amqp.Table) amqp.Publishing {
	return amqp.Publishing{
		Headers:         headers,
		ContentType:     jsonType,
		ContentEncoding: utf8Name,
		DeliveryMode:    amqp.Persistent,
		Body:            body,
	}
}

// bodyOf returns the body of a message as text. It takes JSON whatever its
// parameters, and a message that does not say what it is.
func bodyOf(d *amqp.Delivery) ([]byte, error) {
	if d.ContentType != "" && d.ContentType != jsonType {
		kind, _, err := mime.ParseMediaType(d.ContentType)
		if err != nil || kind != jsonType {
			return nil, fmt.Errorf("content type %.100q, want %s", d.ContentType, jsonType)
		}
	}
	if len(d.Body) > maxBody {
		return nil, fmt.Errorf("a body of %d bytes, want at most %d", len(d.Body), maxBody)
	}
	var unpacked io.Reader
	switch compression := d.Headers["compression"]; compression {
	case nil:
		return d.Body, nil
	case "application/x-gzip", "application/zlib": // kombu calls a zlib stream gzip
		r, err := zlib.NewReader(bytes.NewReader(d.Body))
		if err != nil {
			return nil, fmt.Errorf("unpack the body: %w", err)
		}
		unpacked = r
	case "application/x-bz2", "application/x-bzip2":
		unpacked = bzip2.NewReader(bytes.NewReader(d.Body))
	default:
		return nil, fmt.Errorf("compression %.100v, want application/x-gzip or application/x-bz2", compression)
	}
	body, err := io.ReadAll(io.LimitReader(unpacked, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("unpack the body: %w", err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("a body of more than %d bytes", maxBody)
	}
	return body, nil
}
