/** @file Opens a language model for generation. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import type { RunnableModel, RunnableOptions } from '@onnx-lora/sdk/tasks';
import { CachedDecoder, GenerationFile, isPast, openTokenizer, PlainDecoder, type SequenceTokenizer, takesPast, tokenInputs, withLogitPlaces } from '@onnx-lora/sequences'; // prettier-ignore
import { generationDefaults } from './generateOptions.ts';
import { DecoderGenerator } from './decoderGenerator.ts';
import type { TextGenerator } from './textGenerator.ts';

/** Options of {@link openGenerator}. */
export interface GeneratorOptions extends RunnableOptions {
  /** The default adapter, also named `adapter`; give several in `adapters`. */
  readonly adapter?: Adapter;
  /** The tokenizer; that of the model's folder by default. */
  readonly tokenizer?: SequenceTokenizer;
}

/**
 * Loads a language model with any number of adapters: one with a key-value cache (`past_key_values`), or a slower one
 * without, which reads the whole text for each token.
 * @example
 * ```ts
 * const generator = await openGenerator(model, { adapters: { answers } });
 * for await (const { text } of generator.generate('Once upon a time', { adapter: 'answers' })) process.stdout.write(text);
 * await generator.release();
 * ```
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that is no language model; `CONFIG_INVALID` for an unreadable
 * tokenizer or generation_config.json; `INPUT_INVALID` for two adapters of one name; others as `model.session`
 */
export async function openGenerator(
  model: RunnableModel,
  { adapter, tokenizer, ...load }: GeneratorOptions = {},
): Promise<TextGenerator> {
  requireWriting(model);
  const words = tokenizer ?? (await openTokenizer(model));
  if (!words.decode) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The tokenizer of "${model.name}" cannot make text of tokens. Put its tokenizer.json beside the model.`,
    );
  }
  const defaults = generationDefaults(await GenerationFile.read(model));
  const options = adapter ? { ...load, adapters: withOne(load.adapters ?? {}, adapter) } : load;
  const narrow = withLogitPlaces(model);
  const decoder = takesPast(model)
    ? await CachedDecoder.open(narrow, narrow, options)
    : await PlainDecoder.open(narrow, IDS, options);
  const takesPadding = ['attention_mask', 'position_ids'].every((name) => name in model.inputs);
  return new DecoderGenerator({ model, decoder, tokenizer: words, defaults, takesPadding, usual: adapter ? USUAL : null }); // prettier-ignore
}

const IDS = 'input_ids';
const LOGITS = 'logits';
/** The name of the option `adapter`'s adapter. */
const USUAL = 'adapter';

function withOne(adapters: Readonly<Record<string, Adapter>>, adapter: Adapter): Record<string, Adapter> {
  if (!Object.hasOwn(adapters, USUAL)) return { ...adapters, [USUAL]: adapter };
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `One of the adapters is called "${USUAL}", as the one is that is given alone. Give it another name.`,
  );
}

function requireWriting({ name, inputs, outputs }: RunnableModel): void {
  const refuse = (why: string): never => {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${name}" ${why}. Open a decoder that was exported for text generation, best with its past: optimum-cli export onnx --task text-generation-with-past.`,
    );
  };
  if (!(IDS in inputs) || !(LOGITS in outputs)) refuse(`does not write text: it has no ${IDS in inputs ? `output "${LOGITS}"` : `input "${IDS}"`}`); // prettier-ignore
  const known = [IDS, ...tokenInputs];
  const other = Object.keys(inputs).find((input) => !known.includes(input) && !isPast(input));
  if (other !== undefined) refuse(`has the input "${other}", for which a text alone gives nothing`);
}
