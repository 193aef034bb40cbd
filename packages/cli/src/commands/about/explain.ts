/** @file `onnx-lora explain`: meaning, causes and remedies of an error code. */

import type { ErrorCode } from '@onnx-lora/sdk';
import { didYouMean } from '@onnx-lora/sdk/plugin';
import { errorCodes } from '@onnx-lora/sdk/core';
import type { Command } from 'commander';
import type { Context } from '../../context.ts';
import { usageError } from '../../terminal/errors.ts';
import { commandOf, type Flags } from '../../options.ts';
import { formatTable } from '../../terminal/table.ts';

const codes = Object.keys(errorCodes) as ErrorCode[];

/** Makes the command. */
export function explainCommand({ terminal }: Context): Command {
  return commandOf({
    name: 'explain',
    description:
      'Explains an error code: meaning, causes and remedies; without a code, lists all. Programs find it in the property code of an OnnxLoraError.',
    words: { '[code]': 'an error code, such as TARGET_NOT_FOUND' },
    flags: ['output'],
    examples: ['onnx-lora explain', 'onnx-lora explain TARGET_NOT_FOUND'],
  }).action((word: string | undefined, flags: Flags) => {
    const shown = word === undefined ? codes : [find(word)];
    const told = shown.map((code) => ({ code, ...errorCodes[code] }));
    terminal.result(flags, told, () => (word === undefined ? list() : details(shown[0]!)));
  });
}

function find(word: string): ErrorCode {
  const spelled = word.toUpperCase().replaceAll('-', '_');
  const code = codes.find((each) => each === spelled);
  if (code) return code;
  throw usageError(`There is no error code "${word}".${didYouMean(spelled, codes)} onnx-lora explain lists them all.`);
}

function list(): string[] {
  return formatTable(codes.map((code) => [code, errorCodes[code].summary]));
}

function details(code: ErrorCode): string[] {
  const { summary, causes, remedies } = errorCodes[code];
  const points = (each: readonly string[]): string[] => each.map((text) => `- ${text.replaceAll('`', '')}`);
  return [`${code}: ${summary}`, '', 'Causes', ...points(causes), '', 'Remedies', ...points(remedies)];
}
