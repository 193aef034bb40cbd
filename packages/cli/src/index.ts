/** @file Public API of the command line: the command as a function. */

export { FOLDER } from './context.ts';
export { main } from './program.ts';
export type { Streams, Writer } from './terminal/terminal.ts';
