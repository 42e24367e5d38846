/* number_text.h - a double as Python and JSON write it. */
#ifndef TRAIN_NUMBER_TEXT_H
#define TRAIN_NUMBER_TEXT_H

enum { NUMBER_TEXT = 40 };

/* Writes the fewest digits that read back as the same double, with a point or an exponent ("100.0",
 * "0.1", "1e-05", "1e+16"), into text and returns it. The value is finite. */
char *number_text(double value, char text[NUMBER_TEXT]);

#endif
