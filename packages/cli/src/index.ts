/** @file Public API of the command line: the command as a function. */

export { main } from './program.ts';
export type { Streams, Writer } from './terminal/terminal.ts';
