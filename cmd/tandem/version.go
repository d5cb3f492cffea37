package main

import (
	"runtime"
	"runtime/debug"
)

// version is set by the build.
var version = ""

// VersionCmd is `tandem version`.
type VersionCmd struct{}

// Run prints it.
func (c *VersionCmd) Run(a *app) error {
	v, revision := version, ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	if a.out.json {
		return a.out.value(map[string]any{"version": v, "revision": revision, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
	}
	a.out.printf("tandem %s %s %s %s/%s\n", v, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
