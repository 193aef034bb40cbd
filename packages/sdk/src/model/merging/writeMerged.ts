/** @file Writes merged models, but none that ONNX Runtime cannot load. */

import { OnnxLoraError } from '../../errors.ts';
import { openStaged } from '../../graph/file/onnxFile.ts';
import { sessionModel } from '../../ops/session/sessionModel.ts';
import { type FileToWrite, type OnnxToWrite, stageOnnxFiles } from '../../graph/file/stagedFiles.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { warn } from '../../runtime/providers/providers.ts';
import type { Model } from '../loaded/model.ts';

/** A merged model with the base that it came from. */
export interface MergedToWrite extends OnnxToWrite {
  readonly base: Model;
}

/**
 * Writes merged models and companions, all or none, and returns their files. If the nodes changed, ONNX Runtime first
 * loads the staged file, without optimisation and with memory-mapped weights, so that this costs little. Changed
 * weights alone need no check.
 * @throws OnnxLoraError `RUNTIME_FAILED` if ONNX Runtime rejects a graph; `FILE_INVALID` if the system refuses
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
  // For example a model with operators for GPUs only.
  if (await loadFailure(base.stored.model, base)) {
    return warn({}, `"${file}" has not been loaded to check it: ONNX Runtime does not load its base "${base.name}" on the CPU either.`); // prettier-ignore
  }
  throw new OnnxLoraError(
    'RUNTIME_FAILED',
    `The merged model would not load, so "${file}" was not written. ${failure.message} Merge into the model before it was quantised or optimised, or serve the adapter unmerged.`,
    { cause: failure },
  );
}

/** Why ONNX Runtime rejects a graph; undefined if it loads. */
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
