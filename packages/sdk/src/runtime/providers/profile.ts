/** @file Reads the provider of each operator from ONNX Runtime's profile. */

import { readdir, readFile } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import type { ConcreteProvider, FallenBackNode, ProviderReport } from '../session.ts';

const names: Readonly<Record<string, ConcreteProvider>> = {
  CPUExecutionProvider: 'cpu',
  CUDAExecutionProvider: 'cuda',
  DmlExecutionProvider: 'dml',
  CoreMLExecutionProvider: 'coreml',
  WebGpuExecutionProvider: 'webgpu',
};

interface ProfileEvent {
  readonly cat?: string;
  readonly name?: string;
  readonly args?: {
    readonly op_name?: string;
    readonly provider?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, unknown>>[];
    readonly output_type_shape?: readonly Readonly<Record<string, unknown>>[];
  };
}

const integers: ReadonlySet<string> = new Set(['int64', 'int32', 'bool']);

/** Reads the only profile in `folder`: operators by provider, without the copies between providers. */
export async function readProfile(
  folder: string,
  provider: ConcreteProvider,
): Promise<Pick<ProviderReport, 'nodes' | 'fallenBack'>> {
  const [file] = await readdir(folder);
  const events = JSON.parse(await readFile(path.join(folder, file!), 'utf8')) as ProfileEvent[];
  const ran = new Map<string, { readonly provider: string; readonly node: FallenBackNode }>();
  for (const { cat, name = '', args = {} } of events) {
    if (cat !== 'Node' || args.provider === undefined || args.op_name?.startsWith('Memcpy')) continue;
    const types = [...(args.input_type_shape ?? []), ...(args.output_type_shape ?? [])].flatMap(Object.keys);
    const node: FallenBackNode = {
      op: args.op_name ?? '',
      name: name.replace(/_kernel_time$/, ''),
      reason: types.every((type) => integers.has(type)) ? 'shape-arithmetic' : 'no-kernel',
    };
    // A loop runs its nodes many times.
    ran.set(node.name, { provider: names[args.provider] ?? args.provider, node });
  }
  const nodes: Record<string, number> = {};
  for (const { provider: where } of ran.values()) nodes[where] = (nodes[where] ?? 0) + 1;
  const fallenBack =
    provider === 'cpu' ? [] : [...ran.values()].flatMap(({ provider: where, node }) => (where === 'cpu' ? [node] : []));
  return { nodes, fallenBack };
}
