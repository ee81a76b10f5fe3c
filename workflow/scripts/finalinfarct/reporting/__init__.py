"""Tables and pictures from finished results; nothing is computed anew here."""
