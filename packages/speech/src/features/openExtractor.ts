/** @file Finds the feature extractor's file in a model's folder and makes the extractor it describes. */

import { join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { isObject, type JsonObject, readJsonObject } from '@onnx-lora/sdk/data';
import type { Preprocessor, PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import type { FeatureExtractor } from './featureExtractor.ts';

const fileName = 'preprocessor_config.json';
/** transformers 5 writes all parts of a processor into one file. */
const jointFileName = 'processor_config.json';
/** Real ones have a kilobyte, or half a megabyte where the mel filters are in it. */
const largestFile = 10_000_000;

/** The types that go with models, for files that name none, as older ones do. */
const typeOfModel: Readonly<Record<string, string>> = {
  'audio-spectrogram-transformer': 'ASTFeatureExtractor',
  'data2vec-audio': 'Wav2Vec2FeatureExtractor',
  hubert: 'Wav2Vec2FeatureExtractor',
  moonshine: 'Wav2Vec2FeatureExtractor',
  sew: 'Wav2Vec2FeatureExtractor',
  'sew-d': 'Wav2Vec2FeatureExtractor',
  unispeech: 'Wav2Vec2FeatureExtractor',
  'unispeech-sat': 'Wav2Vec2FeatureExtractor',
  wav2vec2: 'Wav2Vec2FeatureExtractor',
  'wav2vec2-conformer': 'Wav2Vec2FeatureExtractor',
  wavlm: 'Wav2Vec2FeatureExtractor',
  whisper: 'WhisperFeatureExtractor',
};

/**
 * The feature extractor of a model, from `preprocessor_config.json` in its folder, or `feature_extractor` in
 * `processor_config.json`. The first of `factories` that recognises the file makes it.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when there is no such file, it is no JSON object, or nothing makes features of sound
 *   from it
 */
export async function openExtractor(
  model: TaskModel,
  factories: readonly PreprocessorFactory[],
): Promise<FeatureExtractor> {
  if (model.folder === undefined) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${model.name}" is a lone .onnx file, so nothing says what is made of its sound. Put ${fileName} (from where the model was published) beside it.`,
    );
  }
  const { config, path } = await describedIn(model.folder, model.name);
  const typed = { feature_extractor_type: typeOf(model), ...config };
  const made = factories.find((each) => each.recognises(typed))?.create(typed, path);
  if (made && isFeatureExtractor(made)) return made;
  const type = typed.feature_extractor_type;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${path}" describes no feature extractor of sound that is known${typeof type === 'string' ? `, but "${type.slice(0, 80)}"` : ''}. Check that "${model.name}" is a speech model, or copy the file again from where it was published.`,
  );
}

async function describedIn(folder: string, name: string): Promise<{ config: JsonObject; path: string }> {
  const what = "a feature extractor's file";
  const path = join(folder, fileName);
  const own = await readJsonObject(path, largestFile, what);
  if (own) return { config: own, path };
  const jointPath = join(folder, jointFileName);
  const part = (await readJsonObject(jointPath, largestFile, what))?.['feature_extractor'];
  if (isObject(part)) return { config: part, path: jointPath };
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `There is no "${path}", so nothing says what is made of sound for "${name}". Copy the file from where the model was published.`,
  );
}

function typeOf({ config }: TaskModel): string | undefined {
  const type = config?.['model_type'];
  return typeof type === 'string' && Object.hasOwn(typeOfModel, type) ? typeOfModel[type] : undefined;
}

function isFeatureExtractor(made: Preprocessor): made is FeatureExtractor {
  return 'extract' in made && 'batch' in made;
}
