package gateway_test

import (
	"testing"

	"hangar/hangartest"
)

func TestContract(t *testing.T) {
	hangartest.TestHTTPContract(t, newStore(t).url)
}
