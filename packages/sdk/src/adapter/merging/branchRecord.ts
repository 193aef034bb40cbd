/** @file Records a merged file's branches in its metadata, so that they can be removed exactly. */

import { concatBytes, fromBase64, toBase64 } from '../../platform/bytes.ts';
import { sha256 } from '../../platform/hash.ts';
import { z } from 'zod';
import { OnnxLoraError } from '../../errors.ts';
import { memorySource, readBytes } from '../../graph/bytes.ts';
import { encodeModel } from '../../graph/file/encode.ts';
import { parseOnnx } from '../../graph/file/onnxFile.ts';
import type { GraphProto, ModelProto, NodeProto } from '../../graph/proto.ts';
import { floats } from '../../graph/tensorData.ts';
import { withInner } from '../../graph/uniqueNames.ts';
import type { GraphChange } from '../../lora/adapterInputs.ts';
import type { PlacedModuleAdapter } from '../../lora/methods/moduleAdapter.ts';
import { parseForeignJson } from '../formats/foreignJson.ts';
import type { BranchesOfAdapter } from './branches.ts';

const KEY = 'onnx_lora.branches';

/** Branches that one merge added. */
export interface BranchRecord {
  /** The adapters in the branches, by digest of their values, with weights. */
  readonly adapters: readonly { readonly sha256: string; readonly weight: number }[];
  /** Adapted slots with branches. */
  readonly slots: readonly string[];
  /** Added nodes by first output, and the nodes that they replaced, as a base64-encoded model. */
  readonly changes: readonly { readonly nodes: readonly string[]; readonly before: string }[];
  readonly tensors: readonly string[];
}

const recordsSchema: z.ZodType<BranchRecord[]> = z.array(
  z.strictObject({
    adapters: z.array(z.strictObject({ sha256: z.string().regex(/^[\da-f]{64}$/), weight: z.number() })),
    slots: z.array(z.string()),
    changes: z.array(z.strictObject({ nodes: z.array(z.string()).min(1), before: z.base64() })),
    tensors: z.array(z.string()),
  }),
);

/** sha256 of an adapter's values for these modules, independent of tensor names. */
export function branchDigest(tunings: readonly PlacedModuleAdapter[]): string {
  const lines = tunings.flatMap(({ tuning, saved }) => {
    return [...saved].map(([role, tensor]) => {
      const numbers = tensor.type.startsWith('int') ? tensor.data : floats(tensor);
      const hash = sha256().update(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
      return JSON.stringify([tuning.slot, tuning.form ?? '', role, tensor.dims, hash.digest('hex')]);
    });
  });
  return sha256().update(lines.sort().join('\n')).digest('hex');
}

/** Appends a record of these branches to the model's. */
export function withRecord(
  model: ModelProto,
  adapters: readonly Omit<BranchesOfAdapter, 'name'>[],
  changes: readonly GraphChange[],
  tensors: readonly string[],
): ModelProto {
  const record: BranchRecord = {
    adapters: adapters.map(({ tunings, weight }) => ({ sha256: branchDigest(tunings), weight })),
    slots: [...new Set(adapters.flatMap(({ tunings }) => tunings.map(({ tuning }) => tuning.slot)))],
    changes: changes.map(({ before, after }) => ({ nodes: after.map(nameOf), before: encoded(before) })),
    tensors: [...tensors],
  };
  return withRecords(model, [...branchRecords(model), record]);
}

/** The records of a file, oldest first. @throws OnnxLoraError `MODEL_INVALID` for damaged metadata */
export function branchRecords({ metadataProps = [] }: ModelProto): BranchRecord[] {
  const text = metadataProps.find(({ key }) => key === KEY)?.value;
  if (text === undefined) return [];
  try {
    return recordsSchema.parse(parseForeignJson(text));
  } catch (cause) {
    throw new OnnxLoraError(
      'MODEL_INVALID',
      `The metadata "${KEY}" of the model are damaged, so what was merged into it cannot be told from the base. Merge into the base again.`,
      { cause },
    );
  }
}

/**
 * Removes the last record's branches, which restores the base's nodes and tensors.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` if nodes of the record are missing
 */
export function withoutLastBranches(model: ModelProto, file: string): ModelProto & { readonly graph: GraphProto } {
  const records = branchRecords(model);
  const { changes, tensors } = records.at(-1)!;
  const firsts = new Map(changes.map(({ nodes: [first], before }) => [first!, before]));
  const left = new Set(changes.flatMap(({ nodes }) => nodes));
  const restored = (graph: GraphProto): GraphProto => ({
    ...graph,
    node: (graph.node ?? []).flatMap((node) => {
      const name = nameOf(node);
      if (!left.delete(name)) return [withInner(node, restored)];
      const before = firsts.get(name);
      return before === undefined ? [] : decoded(before, file);
    }),
  });
  const graph = restored(model.graph ?? {});
  if (left.size > 0) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${file}" no longer has all of the nodes that merging put beside its layers (${JSON.stringify([...left][0])} is gone): another program has rewritten it since. Use the base model that was merged into.`,
    );
  }
  const gone = new Set(tensors);
  const initializer = (graph.initializer ?? []).filter(({ name = '' }) => !gone.has(name));
  return { ...withRecords(model, records.slice(0, -1)), graph: { ...graph, initializer } };
}

function withRecords(model: ModelProto, records: readonly BranchRecord[]): ModelProto {
  const others = (model.metadataProps ?? []).filter(({ key }) => key !== KEY);
  if (records.length === 0 && others.length === model.metadataProps?.length) return model;
  const own = records.length > 0 ? [{ key: KEY, value: JSON.stringify(records) }] : [];
  return { ...model, metadataProps: [...others, ...own] };
}

/** The first output of a node, unique in a model. */
function nameOf({ output = [] }: NodeProto): string {
  return output.find(Boolean) ?? '';
}

function encoded(node: readonly NodeProto[]): string {
  const chunks = encodeModel({ opsetImport: [{ version: 1 }], graph: { node: [...node] } });
  return toBase64(concatBytes(chunks.map(readBytes)));
}

/** Validated like the nodes of a file. */
function decoded(text: string, file: string): NodeProto[] {
  return parseOnnx(memorySource(fromBase64(text)), file).graph.node ?? [];
}
