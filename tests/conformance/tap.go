// Package tap writes the Test Anything Protocol. Debian has not packaged github.com/mndrix/tap-go, which the validation
// programs use; this has what they call of it.
package tap

import (
	"encoding/json"
	"fmt"
	"strings"
)

// T counts the results of a program.
type T struct {
	count int
	todo  bool
}

// New begins to count.
func New() *T { return &T{} }

// Header begins the output; the number of results is told here unless AutoPlan tells it.
func (t *T) Header(count int) {
	fmt.Println("TAP version 13")
	if count > 0 {
		fmt.Printf("1..%d\n", count)
	}
}

// AutoPlan tells how many results there were.
func (t *T) AutoPlan() { fmt.Printf("1..%d\n", t.count) }

// Todo returns one whose next result does not count as a failure.
func (t *T) Todo() *T { return &T{t.count, true} }

// Ok tells a result.
func (t *T) Ok(passed bool, description string) {
	word, mark := "ok", "-"
	if !passed {
		word = "not ok"
	}
	if t.todo {
		mark = "# TODO"
	}
	t.count++
	fmt.Printf("%s %d %s %s\n", word, t.count, mark, description)
}

// Pass tells a good result.
func (t *T) Pass(description string) { t.Ok(true, description) }

// Fail tells a bad one.
func (t *T) Fail(description string) { t.Ok(false, description) }

// Skip tells that results are left out.
func (t *T) Skip(count int, description string) {
	for ; count > 0; count-- {
		t.count++
		fmt.Printf("ok %d # SKIP %s\n", t.count, description)
	}
}

// Diagnostic tells people more.
func (t *T) Diagnostic(message string) {
	fmt.Printf("# %s\n", strings.ReplaceAll(strings.TrimRight(message, "\n"), "\n", "\n# "))
}

// Diagnosticf does so with arguments.
func (t *T) Diagnosticf(format string, arguments ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, arguments...))
}

// YAML tells machines more; JSON is YAML.
func (t *T) YAML(message interface{}) error {
	text, err := json.MarshalIndent(message, "  ", "  ")
	if err == nil {
		fmt.Printf("  ---\n  %s\n  ...\n", text)
	}
	return err
}
