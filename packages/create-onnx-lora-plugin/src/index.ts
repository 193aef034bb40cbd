/** @file `create-onnx-lora-plugin`: what the command `create-onnx-lora-plugin` does, for programs. */

export { createPlugin } from './program.ts';
export { CreateError } from './writeFolder.ts';
export { type Answers, type Kind, kinds, type License, licenses } from './answers.ts';
