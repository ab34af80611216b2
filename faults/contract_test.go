package faults_test

import (
	"testing"

	"hangar/hangartest"
)

// TestContractOfTheBinary replays the HTTP contract against the real process.
func TestContractOfTheBinary(t *testing.T) {
	p := startStore(t, buildHangar(t), t.TempDir(), "")
	hangartest.TestHTTPContract(t, p.url)
	p.drain(t)
}
