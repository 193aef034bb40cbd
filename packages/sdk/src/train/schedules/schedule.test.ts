import { describe, expect, it } from 'vitest';
import { golden } from '../../../fixtures/optimizers/golden.ts';
import { type ScheduleName, scheduleNames, scheduleOf, type ScheduleOptions } from './schedule.ts';

const variants: Readonly<Record<string, readonly [ScheduleName | ScheduleOptions, warmup?: number]>> = {
  constant: ['constant', 4],
  linear: ['linear', 4],
  'linear-no-warmup': ['linear'],
  polynomial: [{ name: 'polynomial', power: 2, end: 0.1 }, 3],
  cosine: ['cosine', 4],
  'cosine-cycles': [{ name: 'cosine', cycles: 1.5 }],
  'cosine-end': [{ name: 'cosine', end: 0.2 }, 4],
  restarts: [{ name: 'cosine_with_restarts', cycles: 3 }, 2],
  jagged: [{ name: 'jagged_cosine', every: 5, rewarm: 2, end: 0.25 }, 3],
  'jagged-default': ['jagged_cosine'],
  'inverse-sqrt': ['inverse_sqrt', 4],
  'inverse-sqrt-timescale': [{ name: 'inverse_sqrt', timescale: 7 }],
  'one-cycle': ['one_cycle'],
  'one-cycle-settings': [{ name: 'one_cycle', pctStart: 0.45, divFactor: 5, finalDivFactor: 100 }],
};

describe('schedules', () => {
  it.each(Object.entries(golden.schedules))('computes %s as transformers and torch do', (variant, expected) => {
    const [options, warmup = 0] = variants[variant]!;
    const schedule = scheduleOf(options, { steps: expected.length, warmup });
    expected.forEach((factor, step) => {
      expect(schedule(step)).toBeCloseTo(factor, 12);
    });
  });

  it('tests every schedule', () => {
    const tested = Object.values(variants).map(([options]) => (typeof options === 'string' ? options : options.name));
    expect(new Set(tested)).toEqual(new Set(scheduleNames));
  });

  it('takes a warm-up below 1 as a part of the run, rounded up', () => {
    const [part, whole] = [0.11, 3].map((warmup) => scheduleOf('linear', { steps: 20, warmup }));
    for (let step = 0; step < 20; step++) expect(part!(step)).toBe(whole!(step));
  });

  it.each(scheduleNames.filter((name) => name !== 'one_cycle'))(
    '%s trains in a run of one step, whatever the warm-up',
    (name) => {
      for (const warmup of [0, 0.03, 1, 20]) expect(scheduleOf(name, { steps: 1, warmup })(0)).toBeGreaterThan(0);
    },
  );

  it.each(scheduleNames)('%s stays within 0 and 1 beyond the run and in short ones', (name) => {
    for (const steps of [1, 2, 5]) {
      const schedule = scheduleOf(name, { steps });
      for (let step = 0; step < 8; step++) {
        expect(schedule(step)).toBeGreaterThanOrEqual(0);
        expect(schedule(step)).toBeLessThanOrEqual(1);
      }
    }
  });

  it('says what is wrong', () => {
    const make =
      (options: ScheduleName | ScheduleOptions, warmup = 0) =>
      (): unknown =>
        scheduleOf(options, { steps: 10, warmup });
    expect(make('linar' as 'linear')).toThrow('There is no schedule "linar". Did you mean "linear"?');
    expect(make('one_cycle', 2)).toThrow('one_cycle has its own warm-up');
    expect(make('linear', -1)).toThrow('warmup must be a number of 0 or more, but it is -1.');
    expect(make({ name: 'cosine', end: 1 })).toThrow('end of cosine must be a number from 0 to below 1, but it is 1.');
    expect(make({ name: 'cosine_with_restarts', cycles: 0 })).toThrow(
      'cycles of cosine_with_restarts must be a number above 0',
    );
  });
});
