import { createTheme, type CSSVariablesResolver, type MantineColorsTuple, type MantineTheme } from '@mantine/core'

/** Ink: the one colour that is ours; the others say how something came out. */
const INK: MantineColorsTuple = ['#eef1fb', '#dbe1f5', '#b4c0ea', '#8a9cdf', '#687ed6', '#526bd0', '#4661ce', '#3751b6', '#2f48a4', '#243a8f']

export const theme = createTheme({
  colors: { ink: INK },
  primaryColor: 'ink',
  primaryShade: { light: 9, dark: 8 },
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace',
  fontSizes: { xs: '0.75rem', sm: '0.8125rem', md: '0.875rem', lg: '1rem', xl: '1.125rem' },
  headings: { sizes: { h1: { fontSize: '1.375rem', lineHeight: '1.3' }, h2: { fontSize: '1rem', lineHeight: '1.4' }, h3: { fontSize: '0.875rem', lineHeight: '1.4' } } },
  defaultRadius: 'sm',
  cursorType: 'pointer',
  respectReducedMotion: true,
  focusRing: 'auto',
  // What it would put first into every menu is no menu item and takes focus: axe calls that critical. The first item takes it.
  components: { Menu: { defaultProps: { withInitialFocusPlaceholder: false } } },
})

/** Colours whose darkest shade is still too light for text on their own tint. */
const PALE = new Set(['yellow', 'lime', 'orange', 'teal', 'green', 'cyan'])

/** The kit's own surfaces are those of the shell. */
const SURFACE = {
  '--mantine-color-body': 'var(--w-surface)', '--mantine-color-text': 'var(--w-text)', '--mantine-color-default-border': 'var(--w-line-strong)',
  '--mantine-color-default': 'var(--w-surface)', '--mantine-color-default-hover': 'var(--w-hover)', '--mantine-color-default-color': 'var(--w-text)',
}

/** WCAG 2.2 §1.4.3: Mantine's own greys and tints are too light for text in many places. */
export const accessible: CSSVariablesResolver = (of: MantineTheme) => ({
  variables: {},
  light: {
    ...SURFACE, '--mantine-color-dimmed': of.colors.gray[7], '--mantine-color-placeholder': of.colors.gray[7], '--mantine-color-anchor': of.colors.ink![9],
    ...tints(of, (name, shades) => PALE.has(name) ? `color-mix(in srgb, ${shades[9]}, #000 30%)` : shades[9]),
  },
  dark: {
    ...SURFACE, '--mantine-color-dimmed': of.colors.dark[1], '--mantine-color-placeholder': of.colors.dark[1], '--mantine-color-anchor': of.colors.ink![2],
    ...tints(of, (_, shades) => shades[1]),
  },
})

function tints(of: MantineTheme, textOn: (name: string, shades: MantineColorsTuple) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(of.colors).flatMap(([name, shades]) => [
    [`--mantine-color-${name}-light-color`, textOn(name, shades)],
    [`--mantine-color-${name}-filled`, PALE.has(name) ? `color-mix(in srgb, ${shades[9]}, #000 30%)` : shades[9]],
    [`--mantine-color-${name}-outline`, textOn(name, shades)],
  ]))
}
