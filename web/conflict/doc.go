// Package conflict is the inbox of conflicts: what both sides changed differently, or what the engine may not decide, each
// with its values side by side, and the ways to settle it: one, a selection, or a whole group, with a preview.
package conflict
