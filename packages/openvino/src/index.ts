/** @file OpenVINO as an execution provider. */

export { OpenvinoRuntime, type OpenvinoOptions } from './runtime.ts';
export { findLibrary, LIBRARY_VARIABLE, type Surroundings } from './library.ts';
export { openvinoPlugin } from './plugin.ts';
