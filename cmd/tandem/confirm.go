package main

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// confirm asks a person before something that cannot be taken back. Where nobody can be asked, --yes is needed.
func (a *app) confirm(sure bool, question string) error {
	if sure {
		return nil
	}
	if !a.out.ask {
		return &usageError{"this needs a confirmation, and nobody can be asked here: " + asked(question), "add --yes"}
	}
	ok, err := a.ask(question)
	if err != nil {
		return err
	}
	if !ok {
		a.out.note("nothing was changed\n")
		return exitCode(exitFailed)
	}
	return nil
}

// asked ends a question with its mark, unless what follows on it says more.
func asked(question string) string {
	if strings.Contains(question, "? ") {
		return question + "."
	}
	return question + "?"
}

// ask puts a question and takes anything but yes for a no.
func (a *app) ask(question string) (bool, error) {
	a.out.note("%s [y/N] ", asked(question))
	answer, err := bufio.NewReader(a.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}
