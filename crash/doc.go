// Package crash names the places between two steps where a test ends the
// process, to see that what follows mends it. Only a build with the tag
// "faults" has them: HANGAR_CRASH=name:n then ends it at the n-th passing.
package crash
