# SPDX-License-Identifier: GPL-3.0-or-later
# bash completion for darktable-ai

_darktable_ai_commands="denoise upscale rawdenoise mask export history thumbnail models providers runtime opencl cache prefs enable disable bench doctor"
_darktable_ai_global="-d --debug --configdir --cachedir --conf --version -h --help"
_darktable_ai_help="--help-all --help-global"
_darktable_ai_denoise="--strength --mask --sigma"
_darktable_ai_upscale="--scale --long-edge --size"
_darktable_ai_rawdenoise="--strength --mask --output-kind"
_darktable_ai_bench="--task --model --provider --scale --megapixels --runs --memory --threads --json --compare"
_darktable_ai_picture="--preserve-wide-gamut --no-preserve-wide-gamut --no-dither --quality --intent --assume-profile"
_darktable_ai_restore="-o --output --model --provider --memory --format --bit-depth --compression --icc --threads
  --force --overwrite --skip-existing --dry-run --json --progress
  -r --recursive --keep-going --fail-fast --resume --journal --shard"
_darktable_ai_mask="-p --point -b --box --rough --prompts -o --output --cutout --overlay --overlay-size --candidate
  --list-candidates --invert --raw --guided --no-guided --holes --specks --grow --feather --bit-depth --assume-profile
  --model --provider --threads --memory --no-cache --overwrite --dry-run --json --progress"
_darktable_ai_models="--json --remote --default --all --dry-run -o --output --overwrite --progress"
_darktable_ai_runtime="--json -y --yes --use --strict --dry-run --progress"
_darktable_ai_runtime_verbs="show detect use reset install remove"
_darktable_ai_builds="cuda12 cuda13 migraphx rocm openvino webgpu"
_darktable_ai_verbs="list info install download update remove activate deactivate verify pack rescan"
_darktable_ai_profiles="srgb srgb-linear adobergb adobergb-linear prophoto prophoto-linear rec2020
  rec2020-linear display-p3 display-p3-linear"

# The word number $1 (1: the command, 2: its verb) that is neither an option nor an option's value.
_darktable_ai_find_word()
{
  local i word left=$1
  for((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      -d | --debug | --configdir | --cachedir | --conf | -o | --output | --progress | -p | --point | -b | --box)
        # "--conf=K=V" arrives in pieces: the sign and the value follow
        if [[ ${COMP_WORDS[i + 1]} == "=" ]]; then ((i += 2)); else ((i++)); fi
        ;;
      -* | "=") ;;
      *)
        if ((left -= 1, left == 0)); then
          echo "$word"
          return
        fi
        ;;
    esac
  done
}

# The ids of all models that are known here; no network is used.
_darktable_ai_ids()
{
  darktable-ai models list 2>/dev/null | awk 'NR > 1 { print $1 }'
}

# Those that are installed. Columns may be empty, so the status is looked for with the column behind it.
_darktable_ai_installed()
{
  darktable-ai models list 2>/dev/null | awk 'NR > 1 && !/ not downloaded +repository / { print $1 }'
}

_darktable_ai_keys()
{
  darktable-ai prefs list 2>/dev/null | cut -d= -f1
}

# Completes the value of an option that only rawdenoise has, or has with other words; fails for all others.
_darktable_ai_raw_value()
{
  local current=$2
  case $1 in
    --output-kind) COMPREPLY=($(compgen -W "linear cfa" -- "$current")) ;;
    --format) COMPREPLY=($(compgen -W "dng tiff exr" -- "$current")) ;;
    --bit-depth) COMPREPLY=($(compgen -W "16 half 32" -- "$current")) ;;
    --compression) COMPREPLY=($(compgen -W "lj92 none deflate deflate-predictor" -- "$current")) ;;
    *) return 1 ;;
  esac
  return 0
}

# Completes the value of option $1; fails when it takes none.
_darktable_ai_value()
{
  local current=$2
  case $1 in
    -d | --debug) COMPREPLY=($(compgen -W "ai opencl perf pipe tiling memory all" -- "$current")) ;;
    --configdir | --cachedir) COMPREPLY=($(compgen -d -- "$current")) ;;
    -o | --output) COMPREPLY=($(compgen -f -- "$current")) ;;
    --conf) COMPREPLY=($(compgen -W "$(_darktable_ai_keys)" -S = -- "$current")) ;;
    --model) COMPREPLY=($(compgen -W "$(_darktable_ai_installed)" -- "$current")) ;;
    --provider)
      COMPREPLY=($(compgen -W "auto CPU CUDA MIGraphX OpenVINO CoreML DirectML WebGPU" -- "$current"))
      ;;
    --format) COMPREPLY=($(compgen -W "tiff png jpeg exr pfm" -- "$current")) ;;
    --intent) COMPREPLY=($(compgen -W "relative perceptual" -- "$current")) ;;
    --bit-depth) COMPREPLY=($(compgen -W "8 16 32" -- "$current")) ;;
    --compression) COMPREPLY=($(compgen -W "none deflate deflate-predictor" -- "$current")) ;;
    --progress) COMPREPLY=($(compgen -W "auto bar plain json none" -- "$current")) ;;
    --icc | --assume-profile)
      COMPREPLY=($(compgen -W "$_darktable_ai_profiles" -- "$current") $(compgen -f -- "$current"))
      ;;
    --journal | --mask | --rough | --prompts | --cutout | --overlay) COMPREPLY=($(compgen -f -- "$current")) ;;
    --holes | --specks) COMPREPLY=($(compgen -W "all none" -- "$current")) ;;
    --sigma | --strength | --memory | --quality | --threads | --shard | -p | --point | -b | --box) COMPREPLY=() ;;
    --candidate | --grow | --feather | --overlay-size) COMPREPLY=() ;;
    *) return 1 ;;
  esac
  return 0 # also when nothing matches
}

# Completes the operands of models' verb $1.
_darktable_ai_models_operand()
{
  local current=$2
  case $1 in
    "") COMPREPLY=($(compgen -W "$_darktable_ai_verbs" -- "$current")) ;;
    info | activate | remove | verify | update)
      COMPREPLY=($(compgen -W "$(_darktable_ai_installed)" -- "$current"))
      ;;
    download) COMPREPLY=($(compgen -W "$(_darktable_ai_ids)" -- "$current")) ;;
    deactivate) COMPREPLY=($(compgen -W "denoise rawdenoise upscale mask" -- "$current")) ;;
    install) COMPREPLY=($(compgen -f -X '!*.dtmodel' -- "$current") $(compgen -d -- "$current")) ;;
    pack) COMPREPLY=($(compgen -d -- "$current")) ;;
  esac
}

# Completes the operands of runtime's verb $1.
_darktable_ai_runtime_operand()
{
  local current=$2
  case $1 in
    "") COMPREPLY=($(compgen -W "$_darktable_ai_runtime_verbs" -- "$current")) ;;
    use) COMPREPLY=($(compgen -f -- "$current")) ;;
    install) COMPREPLY=($(compgen -W "$_darktable_ai_builds" -- "$current")) ;;
    remove) COMPREPLY=($(compgen -W "cuda migraphx rocm openvino webgpu" -- "$current")) ;;
  esac
}

_darktable_ai()
{
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command options
  command=$(_darktable_ai_find_word 1)
  # "--option=value" arrives as three words
  if [[ $current == "=" ]]; then
    current=""
  elif [[ $previous == "=" && COMP_CWORD -ge 2 ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if [[ $command == rawdenoise ]] && _darktable_ai_raw_value "$previous" "$current"; then return; fi
  if _darktable_ai_value "$previous" "$current"; then return; fi

  case $command in
    "") options="$_darktable_ai_global $_darktable_ai_commands" ;;
    denoise | upscale)
      options="$_darktable_ai_global $_darktable_ai_help $_darktable_ai_restore $_darktable_ai_picture"
      if [[ $command == denoise ]]; then options+=" $_darktable_ai_denoise"; else options+=" $_darktable_ai_upscale"; fi
      ;;
    rawdenoise) options="$_darktable_ai_global $_darktable_ai_help $_darktable_ai_restore $_darktable_ai_rawdenoise" ;;
    mask) options="$_darktable_ai_global $_darktable_ai_help $_darktable_ai_mask" ;;
    export) options="$_darktable_ai_global $_darktable_ai_help -o --output --format --bit-depth --compression --quality --profile --assume-profile --intent --no-dither --width --height --module --style --history --jobs --memory --trace --recursive --overwrite --dry-run --json --progress" ;;
    history) options="$_darktable_ai_global $_darktable_ai_help --module --style --steps --force --recursive --dry-run --json show set reset undo redo" ;;
    thumbnail) options="$_darktable_ai_global $_darktable_ai_help --size --jobs --overwrite --json" ;;
    bench) options="$_darktable_ai_global $_darktable_ai_help $_darktable_ai_bench" ;;
    models) options="$_darktable_ai_global $_darktable_ai_help $_darktable_ai_models" ;;
    runtime) options="$_darktable_ai_global $_darktable_ai_help $_darktable_ai_runtime" ;;
    providers) options="$_darktable_ai_global $_darktable_ai_help --json" ;;
    opencl) options="$_darktable_ai_global $_darktable_ai_help --json --explain --megapixels --rounds --trace devices priorities test" ;;
    cache) options="$_darktable_ai_global $_darktable_ai_help --json list clear mask opencl thumbnail" ;;
    prefs) options="$_darktable_ai_global $_darktable_ai_help --json list get set reset" ;;
    enable | disable) options="$_darktable_ai_global $_darktable_ai_help --json" ;;
    *) options="$_darktable_ai_global $_darktable_ai_help" ;;
  esac
  case $command:$previous in
    models:*)
      if [[ $current != -* ]]; then
        _darktable_ai_models_operand "$(_darktable_ai_find_word 2)" "$current"
        return
      fi
      ;;
    runtime:*)
      if [[ $current != -* ]]; then
        _darktable_ai_runtime_operand "$(_darktable_ai_find_word 2)" "$current"
        return
      fi
      ;;
    prefs:get | prefs:set | prefs:reset) options=$(_darktable_ai_keys) ;;
    denoise:* | upscale:* | rawdenoise:* | mask:*)
      if [[ $current != -* ]]; then
        COMPREPLY=($(compgen -f -- "$current"))
        return
      fi
      ;;
  esac
  COMPREPLY=($(compgen -W "$options" -- "$current"))
}

complete -o filenames -o bashdefault -F _darktable_ai darktable-ai
