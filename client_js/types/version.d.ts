/**
 * The version of this package; `make version` writes it, as it does in Python's `version.py`.
 *
 * @module
 */
export declare const VERSION = "0.1.0";
