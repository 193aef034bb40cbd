/** @file Writes merged models so that no file appears that ONNX Runtime does not load. */

import { OnnxLoraError } from '../../errors.ts';
import { openStaged, sessionModel } from '../../graph/file/onnxFile.ts';
import { type FileToWrite, type OnnxToWrite, stageOnnxFiles } from '../../graph/file/stagedFiles.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { warn } from '../../runtime/providers/providers.ts';
import type { Model } from '../loaded/model.ts';

/** A merged model to write, and the model that it was made from. */
export interface MergedToWrite extends OnnxToWrite {
  readonly base: Model;
}

/**
 * Writes merged models and what lies beside them: all of them or none. Where the nodes are others than the base's, ONNX
 * Runtime loads what is written before it gets its name. It reads the graph alone, without making it faster, and maps the
 * weights from the file, so that a large model costs little more time and memory. Where only numbers of weights are others,
 * the graph is one that has been opened, and nothing is loaded.
 *
 * @returns the files
 * @throws OnnxLoraError `RUNTIME_FAILED` for a graph that ONNX Runtime refuses; `FILE_INVALID` when the system refuses
 */
export async function writeMerged(models: readonly MergedToWrite[], beside: readonly FileToWrite[]): Promise<string[]> {
  const staged = stageOnnxFiles(models, beside);
  try {
    for (const { file, model, base } of models)
      if (!hasSameNodes(model, base.stored.model)) await requireLoads(openStaged(staged, file).model, file, base);
  } catch (error) {
    staged.abort();
    throw error;
  }
  return staged.commit();
}

function hasSameNodes({ graph }: ModelProto, base: ModelProto): boolean {
  const [own = [], others = []] = [graph?.node, base.graph?.node];
  return own.length === others.length && own.every((node, i) => node === others[i]);
}

async function requireLoads(model: ModelProto, file: string, base: Model): Promise<void> {
  const failure = await loadFailure(model, base);
  if (!failure) return;
  // Such as one with operators that only a GPU has.
  if (await loadFailure(base.stored.model, base)) {
    return warn({}, `"${file}" has not been loaded to check it: ONNX Runtime does not load its base "${base.name}" on the CPU either.`); // prettier-ignore
  }
  throw new OnnxLoraError(
    'RUNTIME_FAILED',
    `The merged model would not load, so "${file}" was not written. ${failure.message} Merge into the model before it was quantised or optimised, or serve the adapter unmerged.`,
    { cause: failure },
  );
}

/** Why ONNX Runtime refuses a graph; undefined where it loads it. */
async function loadFailure(model: ModelProto, { runtime, name }: Model): Promise<Error | undefined> {
  try {
    const source = { ...sessionModel(model), name };
    const session = await runtime.createSession(source, { provider: 'cpu', optimize: false, prepack: false });
    await session.release();
    return undefined;
  } catch (cause) {
    return cause as Error;
  }
}
