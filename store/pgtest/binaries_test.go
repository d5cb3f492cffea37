package pgtest

import (
	"path/filepath"
	"strings"
	"testing"

	"tandem"
)

func TestMissingBinariesSayHowToInstallThem(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := binaries(filepath.Join(t.TempDir(), "*", "bin", "initdb"))
	if tandem.CodeOf(err) != tandem.NotFound || !strings.Contains(err.Error(), "apt-get install -y postgresql") {
		t.Errorf("got %v", err)
	}
}
