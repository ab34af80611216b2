// Package faults holds the tests that end, cut off, fill up and poison real
// processes of hangar under load, and then count: nothing that was acknowledged
// is lost, nothing is done twice, nothing is sold that is not there. They print
// a table of what they counted; docs/RELIABILITY.md shows one.
//
// A record is what the clients know, a counts what is wrong with it once the
// stores are read. The sabotage tests turn off a mechanism and want something to
// be wrong.
//
// HANGAR_FAULTS=long runs the full number of faults, HANGAR_FAULTS_TABLE names a
// file for the table, and HANGAR_SOAK is how long the soak tests take.
package faults
