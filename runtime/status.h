/* status.h - how a function says that it failed.
 *
 * A function that can fail returns a Status. The place that finds the fault calls fail(), which
 * keeps a message for this thread and returns the code:
 *
 *     if (got != want)
 *         return fail(E_FORMAT, "%s: %zu bytes, expected %zu", path, got, want);
 *
 * The message is one sentence that names the file, key or tensor, what was expected and what was
 * found. Callers hand the code up unchanged. The library never prints and never exits; main()
 * prints status_text() once. A fault in the program itself is an assert(), not a Status.
 */
#ifndef RUNTIME_STATUS_H
#define RUNTIME_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    OK,
    E_SHAPE,   // tensors do not fit each other
    E_DTYPE,   // a storage type that this place does not take
    E_DEVICE,  // the device cannot, or failed
    E_MEMORY,  // no room
    E_IO,      // the operating system refused a file or a connection
    E_FORMAT,  // a file does not hold what its format says
    E_CONFIG,  // a recipe or its key is wrong
    E_USAGE,   // a command line is wrong: exit code 2
    E_STOPPED, // a signal asked for the end; state was saved
} Status;

#define MUST_CHECK __attribute__((warn_unused_result))

/* Keeps the message for this thread (at most 1023 bytes) and returns code. */
Status fail(Status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "<prefix>: " before the kept message; for a caller that knows the file or key. */
Status fail_within(Status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *status_text(void); // the message of this thread's last fail(), never NULL

#ifdef __cplusplus
}
#endif
#endif
