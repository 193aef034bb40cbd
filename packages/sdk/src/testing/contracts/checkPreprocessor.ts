/** @file What must hold of a preprocessor and of what recognises its file. */

import { isDeepStrictEqual } from 'node:util';
import path from 'node:path';
import { OnnxLoraError } from '../../errors.ts';
import type { GraphPort, PreprocessorFactory } from '../../plugin/task.ts';
import { portProblems, valueProblems } from './ports.ts';

/** What a preprocessor is checked with. */
export interface PreprocessorExamples {
  /** A `preprocessor_config.json` of its own, parsed. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Files that it reads. */
  readonly files: readonly string[];
  /** The model's input that it makes, `model.inputs.pixel_values`: with the batch as its first dimension. */
  readonly input?: GraphPort;
}

/**
 * Checks a preprocessor: it recognises its config and no other, leaves it as it is, gives the same numbers each time, all of
 * them finite, of the type and shape of the model's input; and a file that is not there is an `OnnxLoraError`.
 *
 * @example
 * const found = await checkPreprocessor(new SeriesPreprocessorFactory(), { config, files: ['week.csv'], input: model.inputs.readings });
 * assert.deepEqual(found, []);
 *
 * @returns what does not hold; nothing where all does
 * @throws what the preprocessor throws for a file that it should read
 */
export async function checkPreprocessor(
  factory: PreprocessorFactory,
  { config, files, input }: PreprocessorExamples,
): Promise<string[]> {
  const before = structuredClone(config);
  const problems: string[] = [];
  if (!factory.recognises(config)) problems.push('its own config is not recognised');
  for (const other of [{}, { processor_class: 'OnnxLoraUnknown' }])
    if (factory.recognises(other)) problems.push(`the config ${JSON.stringify(other)} is taken for its own`);
  problems.push(...endingProblems(factory, files));
  if (files.length === 0) problems.push('there is no file to read');
  const preprocessor = factory.create(config, 'preprocessor_config.json');
  if (!isDeepStrictEqual(config, before)) problems.push('the config was changed');
  for (const file of files) {
    const [first, second] = [await preprocessor.preprocess(file), await preprocessor.preprocess(file)];
    if (!isDeepStrictEqual(first, second)) problems.push(`"${file}" has other numbers the second time`);
    problems.push(...valueProblems(`"${file}"`, first));
    if (input) problems.push(...portProblems(`"${file}"`, { ...first, dims: [1, ...first.dims] }, input));
  }
  const missing = `onnx-lora-missing${factory.fileEndings[0] ?? ''}`;
  const thrown = await preprocessor.preprocess(missing).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof OnnxLoraError)) {
    const what = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : 'no error';
    problems.push(`a file that is not there ends in ${what}, which should be an OnnxLoraError`);
  }
  return problems;
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
