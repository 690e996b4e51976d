type SwitchProps = { readonly name: string; readonly value: string; readonly choices: readonly (readonly [value: string, label: string])[]; readonly onChange: (value: string) => void }

/** One of a few, all in sight. */
export function Switch({ name, value, choices, onChange }: SwitchProps) {
  return (
    <div className="w-switch" role="group" aria-label={name}>
      {choices.map(([one, label]) => <button key={one} type="button" aria-pressed={one === value} onClick={() => onChange(one)}>{label}</button>)}
    </div>
  )
}
