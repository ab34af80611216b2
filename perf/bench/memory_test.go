package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const processStatus = `Name:	hangar
VmPeak:	 2000000 kB
VmHWM:	  204800 kB
VmRSS:	  102400 kB
RssAnon:	   51200 kB
RssFile:	   50176 kB
RssShmem:	       0 kB
Threads:	9
`

func TestParseMemory(t *testing.T) {
	got, err := parseMemory(strings.NewReader(processStatus))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(memory{peak: 200, anonymous: 50, files: 49}, got, cmp.AllowUnexported(memory{})); diff != "" {
		t.Errorf("the memory differs (-want +got):\n%s", diff)
	}
}

func TestParseMemoryRefuses(t *testing.T) {
	for name, status := range map[string]string{
		"nothing":      "",
		"no peak":      strings.Replace(processStatus, "VmHWM", "VmOther", 1),
		"no number":    strings.Replace(processStatus, "204800 kB", "much", 1),
		"another unit": strings.Replace(processStatus, "204800 kB", "204800 MB", 1),
	} {
		if m, err := parseMemory(strings.NewReader(status)); err == nil {
			t.Errorf("%s: parsed as %+v, want an error", name, m)
		}
	}
}
