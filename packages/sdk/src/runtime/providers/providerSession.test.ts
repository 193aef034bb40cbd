/** @file Which provider a session gets: what is tried, held against the CPU, reported, and refused when strict. */

import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Engine, LoadedGraph, NativeOptions } from '../engine.ts';
import { BoundFeeds } from '../boundFeeds.ts';
import { TransferableBuffers } from '../transferableBuffers.ts';
import { openSession } from './providerSession.ts';
import type { Session, SessionOptions } from '../session.ts';
import { float32, type Tensor } from '../tensor.ts';

/** Behaviour of providers by name; by default y = 2·x. */
interface Behaviour {
  /** They cannot start. */
  readonly absent?: readonly string[];
  /** They start, but cannot load this graph. */
  readonly refusing?: readonly string[];
  /** They load the graph, and fail to run it. */
  readonly failing?: readonly string[];
  /** They give 2·x + this. */
  readonly off?: Readonly<Record<string, number>>;
  /** They leave these operators to the CPU. */
  readonly nodes?: Readonly<Record<string, readonly { op: string; type: string }[]>>;
}

/** An engine with CPU, DirectML and WebGPU that writes down what happens. */
function fakeEngine({ absent = [], refusing = [], failing = [], off = {}, nodes = {} }: Behaviour): {
  engine: Engine;
  log: string[];
  /** How many graphs are loaded. */
  loaded: () => number;
} {
  const log: string[] = [];
  let loaded = 0;
  const load = (model: Uint8Array, options: NativeOptions): Promise<LoadedGraph> => {
    const provider = options.executionProviders[0]!;
    // The other graph is the one by which it is found out whether a provider starts.
    const isOwn = model.length === 1;
    if (absent.includes(provider)) return Promise.reject(new Error(`no device for ${provider}`));
    if (isOwn && refusing.includes(provider))
      return Promise.reject(new Error('Could not find an implementation for Frob'));
    if (isOwn) log.push(`load ${provider}`);
    loaded++;
    return Promise.resolve({
      inputNames: ['x'],
      outputNames: ['y'],
      run: ({ x }) => {
        log.push(`run ${provider}`);
        if (failing.includes(provider)) return Promise.reject(new Error('out of memory'));
        const values = Array.from(x!.data as Float32Array, (each) => 2 * each + (off[provider] ?? 0));
        return Promise.resolve({ y: float32(values, x!.dims) });
      },
      memory: new TransferableBuffers(),
      bind: (feeds) => new BoundFeeds(Object.keys(feeds), () => undefined),
      endProfiling: () => {
        const own = `${{ cpu: 'CPU', dml: 'Dml', webgpu: 'WebGpu' }[provider]!}ExecutionProvider`;
        const event = (name: string, op: string, where: string, type: string): object => ({
          cat: 'Node',
          name: `${name}_kernel_time`,
          args: { op_name: op, provider: where, input_type_shape: [{ [type]: [2] }], output_type_shape: [] },
        });
        const left = nodes[provider] ?? [];
        const events = [
          event('double', 'Mul', own, 'float'),
          ...left.map(({ op, type }, i) => event(`left${i}`, op, 'CPUExecutionProvider', type)),
        ];
        writeFileSync(
          `${options.profileFilePrefix!}.json`,
          JSON.stringify([{ cat: 'Session', name: 'load' }, ...events]),
        );
        return Promise.resolve();
      },
      release: () => {
        loaded--;
        if (isOwn) log.push(`release ${provider}`);
        return Promise.resolve();
      },
    });
  };
  const engine = { built: ['cpu', 'dml', 'webgpu'], load };
  return { engine, log, loaded: () => loaded };
}

const source = { bytes: Uint8Array.of(0), name: 'net.onnx' };
const feeds = { x: float32([1, 10], [2]) };
const twice = { y: float32([2, 20], [2]) };

interface Opened {
  readonly session: Session;
  readonly log: string[];
  readonly warnings: string[];
  readonly loaded: () => number;
  readonly run: () => Promise<Record<string, Tensor>>;
}

async function open(behaviour: Behaviour, options: SessionOptions): Promise<Opened> {
  const { engine, log, loaded } = fakeEngine(behaviour);
  const warnings: string[] = [];
  const session = await openSession(engine, source, { onWarning: (message) => warnings.push(message), ...options });
  return { session, log, warnings, loaded, run: () => session.run(feeds) };
}

describe('auto', () => {
  it('takes the best that is built in, and holds its first run against the CPU', async () => {
    const { session, log, warnings, loaded, run } = await open({}, {});
    expect(session.provider).toBe('dml');
    expect(await run()).toEqual(twice);
    expect(await run()).toEqual(twice);
    expect(log).toEqual(['load dml', 'load cpu', 'run cpu', 'release cpu', 'run dml', 'run dml']);
    expect(warnings).toEqual([]);
    await session.release();
    expect([log.at(-1), loaded()]).toEqual(['release dml', 0]);
  });

  it('continues with the CPU when a provider does not start, and says why', async () => {
    const { session, warnings, loaded, run } = await open({ absent: ['dml'] }, {});
    expect([session.provider, loaded()]).toEqual(['cpu', 1]);
    expect(await run()).toEqual(twice);
    expect(warnings).toEqual([
      'The provider "dml" does not work on this machine: no device for dml. Update Windows and the graphics driver, or use cpu. The session runs on cpu.',
    ]);
  });

  it('continues with the CPU when a provider cannot load this graph', async () => {
    const { session, warnings } = await open({ refusing: ['dml'] }, {});
    expect(session.provider).toBe('cpu');
    expect(warnings).toEqual([
      'ONNX Runtime cannot load "net.onnx": Could not find an implementation for Frob. The session runs on cpu.',
    ]);
  });

  it('continues with the CPU when the first run differs, and gives the right outputs', async () => {
    const { session, log, warnings, run } = await open({ off: { dml: 0.5 } }, {});
    expect(await run()).toEqual(twice);
    expect(session.provider).toBe('cpu');
    expect(log.slice(-4)).toEqual(['run dml', 'load cpu', 'release dml', 'run cpu']);
    expect(warnings).toEqual([
      'The provider "dml" computes "y" of "net.onnx" differently from the CPU: by 0.025 of its largest value, where 0.01 is accepted. Use cpu, or accept more (verify: { tolerance }). "net.onnx" continues with cpu.',
    ]);
    // It stays there.
    expect(await run()).toEqual(twice);
    expect(log.filter((each) => each === 'run dml')).toHaveLength(1);
  });

  it('continues with the CPU when the first run fails', async () => {
    const { session, warnings, run } = await open({ failing: ['dml'] }, {});
    expect(await run()).toEqual(twice);
    expect(session.provider).toBe('cpu');
    expect(warnings).toEqual(['ONNX Runtime failed on "net.onnx": out of memory. "net.onnx" continues with cpu.']);
  });

  it('keeps a provider that alone can load the graph, and says that it is not verified', async () => {
    const { session, warnings, run } = await open({ refusing: ['cpu'] }, {});
    expect(await run()).toEqual(twice);
    expect(session.provider).toBe('dml');
    expect(warnings).toEqual([
      'ONNX Runtime cannot load "net.onnx": Could not find an implementation for Frob. Results of dml are not verified.',
    ]);
  });

  it.each<[SessionOptions, string]>([
    [{ verify: { tolerance: 0.03 } }, 'dml'],
    [{ verify: { tolerance: 0.02 } }, 'cpu'],
    [{ verify: false }, 'dml'],
    [{ purpose: 'training' }, 'dml'],
  ])('with %o and outputs off by 0.025 ends on %s', async (options, provider) => {
    const { session, run } = await open({ off: { dml: 0.5 } }, options);
    await run();
    expect(session.provider).toBe(provider);
  });

  it.each([-1, NaN])('refuses the tolerance %s', async (tolerance) => {
    await expect(open({}, { verify: { tolerance } })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

describe('a provider by name', () => {
  it('is not exchanged, nor verified', async () => {
    const { session, log, run } = await open({ off: { webgpu: 5 } }, { provider: 'webgpu' });
    await run();
    expect([session.provider, log]).toEqual(['webgpu', ['load webgpu', 'run webgpu']]);
    await expect(open({ absent: ['webgpu'] }, { provider: 'webgpu' })).rejects.toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
    });
  });

  it('gives way to the fallback that is named, in that order', async () => {
    const off = { webgpu: 5 };
    const { session, log, run } = await open({ off }, { provider: 'webgpu', fallback: ['dml', 'cpu'] });
    expect(await run()).toEqual(twice);
    expect(session.provider).toBe('dml');
    // The one that takes over is verified too.
    const next = await open({ off: { webgpu: 5, dml: 5 } }, { provider: 'webgpu', fallback: ['dml', 'cpu'] });
    expect(await next.run()).toEqual(twice);
    expect(next.session.provider).toBe('cpu');
    expect(log.filter((each) => each.startsWith('load'))).toEqual(['load webgpu', 'load cpu', 'load dml']);
  });
});

describe('strict', () => {
  it('fails where auto would go on', async () => {
    await expect(open({ absent: ['dml'] }, { strict: true })).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    await expect(open({ refusing: ['dml'] }, { strict: true })).rejects.toMatchObject({ code: 'RUNTIME_FAILED' });
    const differs = await open({ off: { dml: 0.5 } }, { strict: true });
    await expect(differs.run()).rejects.toThrow('computes "y" of "net.onnx" differently from the CPU');
    const fails = await open({ failing: ['dml'] }, { strict: true });
    await expect(fails.run()).rejects.toMatchObject({ code: 'RUNTIME_FAILED' });
    const unverified = await open({ refusing: ['cpu'] }, { strict: true });
    await expect(unverified.run()).rejects.toMatchObject({ code: 'RUNTIME_FAILED' });
  });

  it('fails when operators run on the CPU, those aside that compute shapes', async () => {
    const shapes = [{ op: 'Shape', type: 'int64' }];
    const passes = await open({ nodes: { dml: shapes } }, { strict: true });
    expect(await passes.run()).toEqual(twice);
    const nodes = { dml: [...shapes, { op: 'Einsum', type: 'float' }] };
    const { session, run, warnings, loaded } = await open({ nodes }, { strict: true });
    await expect(run()).rejects.toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      message:
        'The provider "dml" has no kernel for 1 operators of "net.onnx", which ran on the CPU: Einsum "left1". Allow that (strict: false), or use cpu.',
    });
    // It does not pass by being asked again.
    await expect(run()).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    expect(warnings).toEqual([]);
    await session.release();
    expect(loaded()).toBe(0);
  });

  it('is content with the CPU where that is the provider', async () => {
    const { log, run } = await open({}, { strict: true, provider: 'cpu' });
    expect(await run()).toEqual(twice);
    expect(log).toEqual(['load cpu', 'run cpu']);
  });
});

describe('a report', () => {
  it('says where operators ran, why some fell back, and how far the outputs are from the CPU', async () => {
    const nodes = {
      webgpu: [
        { op: 'Shape', type: 'int64' },
        { op: 'Einsum', type: 'float' },
      ],
    };
    const { session } = await open({ nodes, off: { webgpu: 0.5 } }, { provider: 'webgpu' });
    expect(await session.providerReport!(feeds)).toEqual({
      provider: 'webgpu',
      nodes: { webgpu: 1, cpu: 2 },
      fallenBack: [
        { op: 'Shape', name: 'left0', reason: 'shape-arithmetic' },
        { op: 'Einsum', name: 'left1', reason: 'no-kernel' },
      ],
      verified: { maxDifference: 0.025, tolerance: 0.01 },
    });
  });

  it('of the CPU has nothing to compare with', async () => {
    const { session } = await open({}, { provider: 'cpu' });
    expect(await session.providerReport!(feeds)).toEqual({ provider: 'cpu', nodes: { cpu: 1 }, fallenBack: [] });
  });
});
