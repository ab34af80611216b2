// Package faults holds the tests that end real processes of hangar under load,
// and then count: nothing that was acknowledged is lost, nothing is done twice.
package faults
