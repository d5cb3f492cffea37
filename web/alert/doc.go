// Package alert shows what somebody should look at: the list of alerts, one alert, and what can be done about it.
package alert
