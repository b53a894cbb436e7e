// The theme lets the keyboard reach blocks that scroll sideways, but looks for them only when the page is loaded or
// resized, while code inside closed hints and solutions has no width yet. Let it look again when one is opened.
document.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")), true);
