/**
 * The version of this package; `make version` writes it, as it does in Python's `version.py`.
 *
 * @module
 */

export const VERSION = "0.1.0";
