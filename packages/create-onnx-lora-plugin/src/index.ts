/** @file `create-onnx-lora-plugin`: the command as functions. */

export { createPlugin } from './program.ts';
export { CreateError } from './writeFolder.ts';
export { type Answers, type Kind, kinds, type License, licenses } from './answers.ts';
