/** @file Scopes: what is made where, once, and released in which order. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet, publishModel } from '@onnx-lora/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Runtime } from '../runtime/session.ts';
import { OrtRuntime } from '../runtime/ort.ts';
import { definePlugin } from '../plugin/registry/definePlugin.ts';
import { key, Scope, type ServiceModule } from './scope.ts';
import { ENGINES, KIND, nodeModule, OPEN_MODEL, pluginsModule, REGISTRY } from './services.ts';

const WORD = key<string>('word');
const LINE = key<{ readonly text: string }>('line');
const PAGE = key<{ readonly text: string }>('page');

/** Words become a line, and lines a page, which takes a moment; `log` gets what is made and released. */
function printing(log: string[]): ServiceModule {
  const logged = (name: string, text: string) => {
    log.push(`make ${name}`);
    return { text, [Symbol.asyncDispose]: () => Promise.resolve(log.push(`release ${name}`)) };
  };
  return (provide) => {
    provide(PAGE, async (line: { readonly text: string }) => Promise.resolve(logged('page', `${line.text}.`)), [LINE]);
    provide(LINE, (word: string) => logged('line', `one ${word}`), [WORD]);
    provide(WORD, () => 'word');
  };
}

describe('a scope', () => {
  it('makes a service once, when it is needed, and releases what it made, the last first', async () => {
    const log: string[] = [];
    {
      await using scope = new Scope([printing(log)]);
      expect(log).toEqual([]);
      expect((await scope.get(PAGE)).text).toBe('one word.');
      expect(await scope.get(PAGE)).toBe(await scope.get(PAGE));
      expect((await scope.get(LINE)).text).toBe('one word');
    }
    expect(log).toEqual(['make line', 'make page', 'release page', 'release line']);
  });

  it('has a service replaced by a line in a later module', async () => {
    await using scope = new Scope([printing([]), (provide) => provide(WORD, () => 'test')]);
    expect((await scope.get(PAGE)).text).toBe('one test.');
  });

  it('sees the services around it, and leaves them there when it ends', async () => {
    const log: string[] = [];
    await using root = new Scope([printing(log)]);
    const line = await root.get(LINE);
    {
      await using inner = root.open((provide) => provide(PAGE, () => ({ text: 'blank' })));
      expect((await inner.get(PAGE)).text).toBe('blank');
      expect(await inner.get(LINE)).toBe(line);
    }
    expect((await root.get(PAGE)).text).toBe('one word.');
    expect(log).toEqual(['make line', 'make page']);
  });

  it('never lends a service of its own to one around it', async () => {
    await using root = new Scope([printing([])]);
    await using inner = root.open((provide) => provide(WORD, () => 'inner'));
    expect((await inner.get(LINE)).text).toBe('one word');
    expect((await root.get(LINE)).text).toBe('one word');
  });

  it('releases the others where one release fails, and says so', async () => {
    const log: string[] = [];
    const scope = new Scope([printing(log), (provide) => provide(WORD, () => 'word', [], () => { throw new Error('stuck'); })]); // prettier-ignore
    await scope.get(PAGE);
    await expect(scope[Symbol.asyncDispose]()).rejects.toThrow('stuck');
    expect(log.slice(2)).toEqual(['release page', 'release line']);
  });

  it('releases nothing that could not be made', async () => {
    const log: string[] = [];
    const scope = new Scope([printing(log), (provide) => provide(LINE, () => Promise.reject(new Error('no paper')))]);
    await expect(scope.get(PAGE)).rejects.toThrow('no paper');
    await scope[Symbol.asyncDispose]();
    expect(log).toEqual([]);
  });
});

describe('services of the SDK', () => {
  const plugin = definePlugin({ name: 'a', tasks: [{ name: 'one', description: 'one', create: () => ({ name: 'one', prepare: () => Promise.reject(new Error('not here')) }) }] }); // prettier-ignore

  it('have what plugins bring, all together and by its kind', async () => {
    const scope = new Scope([pluginsModule([plugin])]);
    expect((await scope.get(KIND.tasks)).map(({ name }) => name)).toEqual(['one']);
    expect((await scope.get(REGISTRY)).tasks).toBe(await scope.get(KIND.tasks));
    expect(await new Scope([pluginsModule([])]).get(KIND.tasks)).toEqual([]);
  });

  it('open a model with the engines and plugins of the scope', async () => {
    const ran: string[] = [];
    const engine = (name: string): Runtime => ({
      createSession: (source, options) => {
        ran.push(name);
        return new OrtRuntime().createSession(source, options);
      },
    });
    const engines = { here: engine('here'), beside: () => engine('beside') };
    await using scope = new Scope([nodeModule, pluginsModule([plugin]), (provide) => provide(ENGINES, () => engines)]);
    const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-scope-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const open = await scope.get(OPEN_MODEL);
    const model = await open(await publishModel(folder, { model: linearNet() }));
    expect(model.registry.tasks.map(({ name }) => name)).toEqual(['one']);
    await (await model.session()).release();
    await (await model.session({ worker: false })).release();
    expect(ran).toEqual(['beside', 'here']);
  });
});
