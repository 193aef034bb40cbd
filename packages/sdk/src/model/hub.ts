/** @file Fetches published models through the hub client's own cache. */

import path from 'node:path';
import { downloadFileToCacheDir, listFiles } from '@huggingface/hub';
import { OnnxLoraError } from '../errors.ts';

/** Files beside the model that say how it is used. */
const companions =
  /^(config|preprocessor_config|tokenizer|tokenizer_config|special_tokens_map|generation_config)\.json$|^vocab\.txt$/;
/** The full-precision model and its external data; quantised variants have other names. */
const weights =
  /^(?:onnx\/)?(?:\w*model|encoder_model|decoder_model(?:_merged)?|vision_encoder|prompt_encoder_mask_decoder)\.onnx(?:[._]data\w*)?$/;

/**
 * Downloads what is needed of a model repository, unless the cache has it.
 *
 * @param onDownload called with the name of each file that the cache lacks
 * @returns the repository's folder in the cache
 * @throws OnnxLoraError `FILE_NOT_FOUND` when the hub has no such model, cannot be reached, or the model has no ONNX file
 */
export async function downloadModel(
  repo: string,
  revision = 'main',
  onDownload?: (file: string) => void,
): Promise<string> {
  const hubUrl = process.env['HF_ENDPOINT'];
  const options = {
    repo,
    revision,
    ...(hubUrl === undefined ? {} : { hubUrl }),
    ...(process.env['HF_TOKEN'] ? { accessToken: process.env['HF_TOKEN'] } : {}),
  };
  try {
    const wanted: string[] = [];
    for await (const entry of listFiles({ ...options, recursive: true })) {
      if (entry.type === 'file' && (companions.test(entry.path) || weights.test(entry.path))) wanted.push(entry.path);
    }
    if (!wanted.some((file) => file.endsWith('.onnx'))) {
      throw new OnnxLoraError(
        'FILE_NOT_FOUND',
        `The hub's model "${repo}" has no ONNX file. Export it first, for example with optimum-cli export onnx.`,
      );
    }
    let folder = '';
    for (const file of wanted) {
      const cached = await announced(
        () => downloadFileToCacheDir({ ...options, path: file }),
        () => onDownload?.(file),
      );
      folder = cached.slice(0, cached.length - path.normalize(file).length);
    }
    return path.resolve(folder);
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    throw new OnnxLoraError(
      'FILE_NOT_FOUND',
      `There is no file or folder "${repo}", and the hub did not give a model of that name: ${(cause as Error).message.split('\n')[0]}. Check the name, the network, and HF_TOKEN for private models.`,
      { cause },
    );
  }
}

/** The hub client tells of a download by console.debug, which is standard output: there it would spoil a program's own. */
/* oxlint-disable no-console -- taken over for the time of a download, and given back */
async function announced<T>(download: () => Promise<T>, onDownload: () => void): Promise<T> {
  const debug = console.debug;
  console.debug = (...words: unknown[]): void => {
    if (String(words[0]).startsWith('Downloading')) onDownload();
    else debug(...words);
  };
  try {
    return await download();
  } finally {
    console.debug = debug;
  }
}
