/** @file Plugins put together: what they bring, what they need, and the mistakes that are told before anything runs. */

import { describe, expect, expectTypeOf, it } from 'vitest';
import { token, tokenList, binding } from './token.ts';
import { definePlugin, type Plugin, PLUGIN_CONTRACT } from './definePlugin.ts';
import type { ModelFamily } from '../families/family.ts';
import { loadPlugins } from './loadPlugins.ts';
import type { PreprocessorFactory, TaskFactory } from '../taskFactory.ts';

const SCALE = token<number>('scale', { usuallyFrom: 'onnx-lora-scale' });
const WORD = tokenList<string>('word');

const family = (name: string, domain = 'd'): ModelFamily => ({
  name,
  domain,
  matches: ({ config }) => config?.['model_type'] === name,
  roles: { encoder: [/encoder/] },
  defaultTargets: ['encoder'],
  tasks: ['t'],
});
const task = (name: string): TaskFactory => ({
  name,
  description: name,
  create: () => ({ name, prepare: () => Promise.reject(new Error('not here')) }),
});
const tuner = (name: string): object => ({ name, peftType: 'T', description: '', defaults: {}, tune: () => ({}) });
const preprocessor = (domain: string): PreprocessorFactory => ({
  domain,
  fileEndings: [],
  recognises: () => false,
  create: () => ({ preprocess: () => Promise.reject(new Error('not here')) }),
});

describe('loadPlugins', () => {
  it('gives each list in the order of the plugins', () => {
    const a = definePlugin({ name: 'a', families: [family('x')], tasks: () => [task('one')] });
    const b = definePlugin({ name: 'b', families: [family('y')], tasks: [task('two')] });
    const { families, tasks, plugins, broughtBy, optimizers } = loadPlugins([a, b]);
    expect(families.map(({ name }) => name)).toEqual(['x', 'y']);
    expect(tasks.map(({ name }) => name)).toEqual(['one', 'two']);
    expect(plugins).toEqual([a, b]);
    expect(broughtBy(b).families.map(({ name }) => name)).toEqual(['y']);
    expect(optimizers).toEqual([]);
  });

  it('hands over what is needed, typed, and the preprocessors of all', () => {
    const lender = definePlugin({
      name: 'lender',
      bindings: [
        binding(WORD, () => 'a'),
        binding(WORD, () => 'b'),
        binding(SCALE, ({ all }) => all.length, { needs: { all: WORD } }),
      ],
      preprocessors: [preprocessor('lender')],
    });
    const seen: unknown[] = [];
    const user = definePlugin({
      name: 'user',
      needs: { factor: SCALE, words: WORD },
      preprocessors: ({ factor }) => [preprocessor(`user${factor}`)],
      tasks: ({ factor, words, preprocessors }) => {
        seen.push(
          factor + 1,
          words.join(''),
          preprocessors.map(({ domain }) => domain),
        );
        return [task('t')];
      },
    });
    // The user stands before the lender, whose things it needs all the same.
    const { provided } = loadPlugins([user, lender]);
    expect(seen).toEqual([3, 'ab', ['user2', 'lender']]);
    expect(provided({ factor: SCALE })).toEqual({ factor: 2 });
  });

  it('makes what a token stands for once, and lets a default stand back', () => {
    let made = 0;
    const usual = definePlugin({
      name: 'usual',
      bindings: [binding(SCALE, () => ++made, { isDefault: true })],
      needs: { factor: SCALE },
      tasks: ({ factor }) => [task(`t${factor}`)],
    });
    expect(loadPlugins([usual]).provided({ factor: SCALE }).factor).toBe(1);
    expect(made).toBe(1);
    const other = definePlugin({ name: 'other', bindings: [binding(SCALE, () => 7)] });
    expect(loadPlugins([usual, other]).tasks[0]!.name).toBe('t7');
    expect(loadPlugins([usual, other], { bindings: [binding(SCALE, () => 9)] }).tasks[0]!.name).toBe('t9');
    expect(made).toBe(1);
  });

  it('tells again why it cannot be made', () => {
    const fails = binding(SCALE, () => {
      throw new Error('no weights at hand');
    });
    const { provided } = loadPlugins([definePlugin({ name: 'a', bindings: [fails] })]);
    for (let i = 0; i < 2; i++) expect(() => provided({ x: SCALE })).toThrow('no weights at hand');
  });

  const two = (first: Plugin, second: Plugin) => () => loadPlugins([first, second]);
  const named = (name: string, parts: object = {}): Plugin => definePlugin({ name, ...parts });

  it.each([
    ['no plugin', () => loadPlugins([{ families: [] } as unknown as Plugin])],
    ['nothing', () => loadPlugins([undefined as unknown as Plugin])],
    ['a name that is empty', () => loadPlugins([named(' ')])],
    ['a later contract', () => loadPlugins([{ ...named('late'), version: '3.1.0', contract: PLUGIN_CONTRACT + 1 }])],
    ['an earlier contract', () => loadPlugins([{ ...named('early'), contract: PLUGIN_CONTRACT - 1 }])],
    ['two plugins of one name', two({ ...named('a'), version: '1.0.0' }, { ...named('a'), version: '2.0.0' })],
    ['two tasks of one name', two(named('a', { tasks: [task('t')] }), named('b', { tasks: [task('t')] }))],
    ['two families of one name', two(named('a', { families: [family('x')] }), named('b', { families: [family('x')] }))],
    ['an optimizer of the SDK', () => loadPlugins([named('a', { optimizers: [{ name: 'adamw', create: () => 0 }] })])],
    ['two tuners of one type', two(named('a', { tuners: [tuner('x')] }), named('b', { tuners: [tuner('y')] }))],
    [
      'a tuner that says it is LoRA',
      () => loadPlugins([named('a', { tuners: [{ ...tuner('x'), peftType: 'LORA' }] })]),
    ],
    [
      'an operator of the SDK',
      () => loadPlugins([named('a', { operators: [{ domain: '', op: 'MatMul', gradient: [] }] })]),
    ],
    ['a need of nobody', () => loadPlugins([named('a', { needs: { factor: SCALE } })])],
    ['a need with a slip', () => two(named('a', { needs: { x: token('scael') } }), named('b', { bindings: [binding(SCALE, () => 1)] }))()], // prettier-ignore
    [
      'two that provide one thing',
      two(
        named('a', { bindings: [binding(SCALE, () => 1)] }),
        named('b', { bindings: [binding(SCALE, () => 2)], needs: { x: SCALE } }),
      ),
    ],
    [
      'a circle',
      () =>
        loadPlugins([
          named('a', {
            bindings: [
              binding(SCALE, () => 1, { needs: { x: token('b') } }),
              binding(token<number>('b'), () => 1, { needs: { y: SCALE } }),
            ],
            needs: { z: SCALE },
          }),
        ]),
    ],
    ['a key that there is not', () => named('a', { family: [] })],
    ['one plugin in the place of a list', () => loadPlugins(named('a') as unknown as Plugin[])],
    ['what the program lacks', () => loadPlugins([], { bindings: [binding(SCALE, () => 1, { needs: { x: token('b') } })] }).provided({ x: SCALE })], // prettier-ignore
    ['a list that is none', () => loadPlugins([named('a', { tasks: () => task('t') })])],
    ['an entry without its function', () => loadPlugins([named('a', { tasks: [{ name: 't', description: '' }] })])],
    ['an entry with a string for a list', () => loadPlugins([named('a', { families: [{ ...family('x'), defaultTargets: 'encoder' }] })])], // prettier-ignore
    ['targets without a role', () => loadPlugins([named('a', { families: [{ ...family('x'), defaultTargets: ['encodr'] }] })])], // prettier-ignore
    ['a dataset of an impossible name', () => loadPlugins([named('a', { datasets: [{ name: 'C', description: '', prepare: () => '' }] })])], // prettier-ignore
    ['a task that answers as the former contract had it', () => loadPlugins([named('a', { tasks: [{ ...task('t'), answerer: () => undefined }] })])], // prettier-ignore
    ['a task that answers about records as the former contract had it', () => loadPlugins([named('a', { tasks: [{ ...task('t'), recordAnswerer: () => undefined }] })])], // prettier-ignore
    ['a task that a shell would take apart', () => loadPlugins([named('a', { tasks: [task("$(t) '")] })])],
  ])('refuses %s', (_, load) => {
    expect(load).toThrowErrorMatchingSnapshot();
  });

  it('lets two domains have a family for models of one type', () => {
    const both = loadPlugins([
      named('a', { families: [family('x', 'text')] }),
      named('b', { families: [family('x')] }),
    ]);
    expect(both.families).toHaveLength(2);
  });
});

describe('the types of a plugin', () => {
  it('follow from what it needs', () => {
    const plugin = definePlugin({
      name: 'a',
      needs: { factor: SCALE, words: WORD },
      preprocessors: (services) => {
        expectTypeOf(services).toEqualTypeOf<{ readonly factor: number; readonly words: readonly string[] }>();
        return [preprocessor('a')];
      },
      tasks: ({ factor, words, preprocessors }) => {
        expectTypeOf(factor).toEqualTypeOf<number>();
        expectTypeOf(words).toEqualTypeOf<readonly string[]>();
        expectTypeOf(preprocessors).toEqualTypeOf<readonly PreprocessorFactory[]>();
        return [];
      },
    });
    expectTypeOf(plugin).toEqualTypeOf<Plugin>();
    const { provided } = loadPlugins([], { bindings: [binding(SCALE, () => 1)] });
    expectTypeOf(provided({ factor: SCALE, words: WORD })).toEqualTypeOf<{
      readonly factor: number;
      readonly words: readonly string[];
    }>();
  });

  it('have no place for what does not fit', () => {
    // Each would be an error when the plugin is used; here only the compiler is asked.
    const mistakes = (): unknown => [
      // @ts-expect-error a token of numbers
      binding(SCALE, () => 'one'),
      // @ts-expect-error what is not needed is not handed over
      definePlugin({ name: 'a', tasks: ({ factor }) => [task(String(factor))] }),
      // @ts-expect-error preprocessors are not there before they are made
      definePlugin({ name: 'a', preprocessors: ({ preprocessors }) => preprocessors }),
      // @ts-expect-error a kind that there is not
      definePlugin({ name: 'a', family: [family('x')] }),
      // @ts-expect-error one task is no list
      definePlugin({ name: 'a', tasks: task('t') }),
      // @ts-expect-error a task of families
      definePlugin({ name: 'a', families: [task('t')] }),
      // @ts-expect-error a need is a token
      definePlugin({ name: 'a', needs: { factor: 'scale' } }),
    ];
    expect(mistakes).toBeTypeOf('function');
  });
});
