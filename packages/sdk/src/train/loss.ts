/** @file Losses as graph fragments, from operators that every execution provider has. */
