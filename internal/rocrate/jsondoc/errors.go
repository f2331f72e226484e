package jsondoc

import (
	"strconv"
	"unicode/utf8"
)

// SyntaxError says where a text stops being JSON.
type SyntaxError struct {
	Offset int    // in characters, from 0
	Text   string // in the words of Python's parser
}

// Error gives text and offset.
func (e *SyntaxError) Error() string {
	return e.Text + ": char " + strconv.Itoa(e.Offset)
}

// LimitError says that a text cannot be read although it might be JSON: its
// encoding is broken, or it is too deep or too long.
type LimitError struct {
	Text string
}

// Error gives the text.
func (e *LimitError) Error() string { return e.Text }

// Texts of syntax errors.
const (
	errValue        = "Expecting value"
	errName         = "Expecting property name enclosed in double quotes"
	errColon        = "Expecting ':' delimiter"
	errComma        = "Expecting ',' delimiter"
	errExtra        = "Extra data"
	errUnterminated = "Unterminated string starting at"
	errControl      = "Invalid control character at"
	errEscape       = `Invalid \escape`
	errUnicode      = `Invalid \uXXXX escape`
)

// fail makes a syntax error at a byte offset.
func (p *parser) fail(text string, offset int) error {
	return &SyntaxError{Offset: utf8.RuneCount(p.s[:min(offset, len(p.s))]), Text: text}
}
