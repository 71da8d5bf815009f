# bash completion of godwitctl(1). Names are asked of the godwit-ems that the
# command line means; if it does not answer, none are offered.

# The first column of a table that a word prints, behind the row that begins so.
_godwitctl_column()
{
	timeout 2 godwitctl "${asked[@]}" "${@:2}" 2>/dev/null |
	    awk -v head="$1" 'found { print $1 } $1 == head { found = 1 }'
}

_godwitctl()
{
	local words='status ready config certs stats generations apply plan get list
	    delete diff history rollback register deregister services leases
	    proxies'
	local options='--ems --token-file --ca --cert --key --why --plan --version --revision
	    --limit --id --zone --weight --label --ttl --force --confirm --now
	    --keep --help -c -o -w -V -h'
	local cur=${COMP_WORDS[COMP_CWORD]} found= at argument=
	local -a given said=() asked=()

	# Parted by blanks only: bash takes unix:PATH and a=b apart.
	read -ra given <<<"${COMP_LINE:0:COMP_POINT}x"
	unset 'given[-1]'
	for at in "${given[@]:1}"; do
		case $argument,$at in
		--ems,*|--token-file,*|--ca,*|--cert,*|--key,*|-c,*)
			asked+=("$argument" "$at") argument= ;;
		-*,*) argument= ;;
		*,--force|*,--confirm|*,--now|*,--keep|*,--help|*,-V|*,-h) ;;
		*,--*=*) [[ $at == --ems=* ]] && asked+=("$at") ;;
		*,-*) argument=$at ;;
		*) said+=("$at") ;;
		esac
	done
	case $argument,$cur,${said[0]-},${#said[@]} in
	--token-file,*|--ca,*|--cert,*|--key,*|-c,*|,[!-]*,apply,*|,,apply,*|,[!-]*,plan,*|,,plan,*)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	--ems,*) found='unix: https:// http://' ;;
	-o,*) found='json run_dir=' ;;
	-*) ;;
	,-*) found=$options ;;
	*,0) found=$words ;;
	*,config,1) found='cluster endpoints secret listener routes' ;;
	*,get,1|*,list,1|*,delete,1|*,diff,1|*,history,1)
		found='region gateway service limit caller' ;;
	*,get,2|*,delete,2|*,diff,2|*,history,2)
		found=$(_godwitctl_column NAME list "${said[1]}") ;;
	*,services,1|*,register,1)
		found=$(_godwitctl_column NAME list service) ;;
	*,register,2) found=$(_godwitctl_column NAME list region) ;;
	*,deregister,1) found=$(_godwitctl_column ID leases) ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$found" -- "$cur")
	[[ ${COMPREPLY[0]-} == *[:/=] ]] && compopt -o nospace 2>/dev/null
	return 0
}

complete -F _godwitctl godwitctl
