/** @file Checks preprocessors and their factories. */

import { isDeepStrictEqual } from 'node:util';
import path from 'node:path';
import type { Tensor } from '@onnx-lora/sdk';
import type { GraphPort } from '@onnx-lora/sdk/tasks';
import type { Preprocessor, PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import { call, findings, findingsLater, refusalProblems } from '../failures.ts';
import { portProblems, valueProblems } from './ports.ts';

/** Input of {@link checkPreprocessor}. */
export interface PreprocessorExamples {
  /** A parsed `preprocessor_config.json` for it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Files to read. */
  readonly files: readonly string[];
  /** The model's input, such as `model.inputs.pixel_values`, with the batch as first dimension. */
  readonly input?: GraphPort;
}

/**
 * Checks a preprocessor: it recognises its config but no other, leaves it unchanged, and gives the same finite numbers
 * each time, of the type and shape of the model's input; a missing file is an `OnnxLoraError`.
 * @example
 * const found = await checkPreprocessor(new SeriesPreprocessorFactory(), { config, files: ['week.csv'], input: model.inputs.readings });
 * assert.deepEqual(found, []);
 * @returns the problems found, including errors; empty if there are none
 */
export async function checkPreprocessor(
  factory: PreprocessorFactory,
  { config, files, input }: PreprocessorExamples,
): Promise<string[]> {
  const before = structuredClone(config);
  const recognises = (given: PreprocessorExamples['config']): boolean =>
    call('recognises', () => factory.recognises(given));
  return [
    ...findings(() => (recognises(config) ? [] : ['its own config is not recognised'])),
    ...[{}, { processor_class: 'OnnxLoraUnknown' }].flatMap((other) =>
      findings(() => (recognises(other) ? [`the config ${JSON.stringify(other)} is taken for its own`] : [])),
    ),
    ...endingProblems(factory, files),
    ...(files.length === 0 ? ['there is no file to read'] : []),
    ...(await findingsLater(async () => {
      const preprocessor = call('create', () => factory.create(config, 'preprocessor_config.json'));
      const problems = isDeepStrictEqual(config, before) ? [] : ['the config was changed'];
      for (const file of files) problems.push(...(await findingsLater(() => fileProblems(preprocessor, file, input))));
      const missing = `onnx-lora-missing${factory.fileEndings[0] ?? ''}`;
      return [
        ...problems,
        ...(await refusalProblems('a file that is not there', () => preprocessor.preprocess(missing))),
      ];
    })),
  ];
}

async function fileProblems(
  preprocessor: Preprocessor,
  file: string,
  input: PreprocessorExamples['input'],
): Promise<string[]> {
  const read = (): Promise<Tensor> => call(`preprocess of "${file}"`, () => preprocessor.preprocess(file));
  const [first, second] = [await read(), await read()];
  return [
    ...(isDeepStrictEqual(first, second) ? [] : [`"${file}" has other numbers the second time`]),
    ...valueProblems(`"${file}"`, first),
    ...(input ? portProblems(`"${file}"`, { ...first, dims: [1, ...first.dims] }, input) : []),
  ];
}

function endingProblems({ fileEndings }: PreprocessorFactory, files: readonly string[]): string[] {
  const lower = (text: string): boolean => text.startsWith('.') && text === text.toLowerCase();
  return [
    ...(fileEndings.length === 0 ? ['it names no file ending'] : []),
    ...fileEndings
      .filter((each) => !lower(each))
      .map((each) => `the file ending "${each}" is not in lower case with its dot`),
    ...files
      .filter((file) => !fileEndings.some((ending) => path.basename(file).toLowerCase().endsWith(ending)))
      .map((file) => `"${file}" has none of its file endings ${fileEndings.join(', ')}`),
  ];
}
