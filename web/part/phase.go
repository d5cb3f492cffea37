package part

// PhaseText says what a run is at.
func PhaseText(phase string) string {
	switch phase {
	case "":
		return "Beginning"
	case "waiting for another run of this service":
		return "Waiting for another run of this service"
	case "contacting":
		return "Reaching Golioth"
	case "recovering":
		return "Clearing up after a run that was cut off"
	case "listing":
		return "Comparing devices"
	case "matching":
		return "Finding which new devices are the same"
	case "creating":
		return "Creating devices"
	case "writing":
		return "Writing changes to Golioth"
	case "renaming":
		return "Renaming devices on Golioth"
	case "reading state":
		return "Reading device state"
	case "looking for missing devices":
		return "Looking for missing devices"
	case "deleting":
		return "Deleting and unlinking"
	case "undoing":
		return "Undoing changes"
	}
	return Sentence(phase)
}
